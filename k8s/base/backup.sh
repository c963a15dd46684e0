#!/bin/sh
# Makes one dump, complete or not at all, and deletes those older than BACKUP_DAYS (30). PGHOST, PGUSER, PGDATABASE and PGPASSWORD select the database.
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
