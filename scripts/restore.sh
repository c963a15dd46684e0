#!/usr/bin/env bash
# Restores a dump into an empty database, or into one whose content may be replaced (--replace).
#   PGHOST=... PGUSER=tandem PGPASSWORD=... PGDATABASE=tandem scripts/restore.sh [--replace] DUMP
# Stop the workers first; entries wait in Redis meanwhile.
set -euo pipefail
replace=
if [ "${1:-}" = --replace ]; then replace=1; shift; fi
dump=${1:?usage: restore.sh [--replace] DUMP}
pg_restore --list "$dump" >/dev/null
tables=$(psql -XAtqc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
if [ "$tables" != 0 ] && [ -z "$replace" ]; then
    echo "the database has $tables tables; --replace drops them first" >&2
    exit 1
fi
# The SQL is written to a file first, so that a truncated dump is not restored by half; then it runs in one transaction.
sql=$(mktemp)
trap 'rm -f "$sql"' EXIT
if [ "$tables" != 0 ]; then echo 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;' >"$sql"; fi
pg_restore --no-owner --file=- "$dump" >>"$sql"
psql -Xq --set ON_ERROR_STOP=1 --single-transaction --file="$sql" >/dev/null
echo "restored: $(psql -XAtqc 'SELECT count(*) FROM room_events') events"
