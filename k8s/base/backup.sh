#!/bin/sh
# One dump a day, whole or not at all; 30 days are kept. PGHOST, PGUSER, PGDATABASE and PGPASSWORD say which database.
set -eu
directory=${BACKUP_DIR:-/backup}
days=${BACKUP_DAYS:-30}
name="$directory/tandem-$(date -u +%Y%m%dT%H%M%SZ).dump"
trap 'rm -f "$name.part"' EXIT
pg_dump --format=custom --compress=6 --no-owner --file="$name.part"
# A dump that cannot be listed cannot be restored.
pg_restore --list "$name.part" >/dev/null
mv "$name.part" "$name"
find "$directory" -name 'tandem-*.dump' -mtime "+$days" -delete
echo "wrote $name ($(du -h "$name" | cut -f1)); $(find "$directory" -name 'tandem-*.dump' | wc -l) dumps are kept"
