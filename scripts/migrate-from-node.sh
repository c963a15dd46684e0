#!/usr/bin/env bash
# Copies rooms, users and room_events of the Node server that tandem replaces into the tables of tandem. It can be repeated, also while both
# servers run: no row is duplicated, and no row that tandem wrote is changed.
#   scripts/migrate-from-node.sh OLD NEW
# OLD, NEW: postgres://user:password@host/database. Run `tandem migrate` on NEW first.
# OLD_SCHEMA: the schema of the old tables (public). OLD_TIMEZONE: the time zone of old columns that have none (UTC). KEEP_MONTHS: older
# events are not copied (0: all are copied); use the value of LEDGER_RETENTION_MONTHS, or the worker drops them right away.
set -euo pipefail
if [ $# != 2 ]; then echo "usage: $0 OLD NEW" >&2; exit 64; fi
old=$1 new=$2
schema=${OLD_SCHEMA:-public}
zone=${OLD_TIMEZONE:-UTC}
months=${KEEP_MONTHS:-12}
[[ $months =~ ^[0-9]+$ && $schema =~ ^[A-Za-z_][A-Za-z0-9_]*$ && $zone =~ ^[A-Za-z0-9_/+-]+$ ]] || { echo "OLD_SCHEMA, OLD_TIMEZONE or KEEP_MONTHS is none" >&2; exit 64; }
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

there=$(psql -XAtqc "SELECT to_regclass('room_events') IS NOT NULL" "$new")
if [ "$there" != t ]; then
    echo "$0: the new database has no tables yet: run \`tandem migrate\` with its DATABASE_URL first" >&2
    exit 65
fi

since='-infinity'
# Whole months in UTC, as the worker counts them.
if [ "$months" != 0 ]; then
    since=$(psql -XAtqc "SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $months)) AT TIME ZONE 'UTC'" "$new")
fi

# All tables are read in one snapshot of the old database.
psql -Xq --set ON_ERROR_STOP=1 "$old" <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL TimeZone = '$zone';
SET LOCAL search_path = '$schema';
\copy (SELECT id, host_user_id, current_url, coalesce("current_time", 0), coalesce(is_playing, false), coalesce(guest_control_enabled, false), coalesce(created_at, updated_at, now())::timestamptz, coalesce(updated_at, created_at, now())::timestamptz, archived_at::timestamptz FROM rooms) TO '$directory/rooms' CSV
\copy (SELECT id, room_id, username, coalesce(created_at, updated_at, now())::timestamptz, coalesce(last_heartbeat, updated_at, created_at, now())::timestamptz FROM users WHERE room_id IS NOT NULL) TO '$directory/users' CSV
\copy (SELECT id, room_id, event_type, user_id, data, created_at::timestamptz FROM room_events WHERE created_at IS NOT NULL AND room_id IS NOT NULL AND created_at::timestamptz >= '$since') TO '$directory/events' CSV
COMMIT;
SQL

psql -Xq --set ON_ERROR_STOP=1 "$new" <<SQL
\set QUIET on
BEGIN;
CREATE TEMP TABLE old_rooms (id text, host_user_id text, current_url text, position float8, is_playing boolean, guest_control boolean, created_at timestamptz, updated_at timestamptz, archived_at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE old_users (id text, room_id text, username text, created_at timestamptz, updated_at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE old_events (id bigint, room_id text, event_type text, user_id text, data jsonb, created_at timestamptz) ON COMMIT DROP;
\copy old_rooms FROM '$directory/rooms' CSV
\copy old_users FROM '$directory/users' CSV
\copy old_events FROM '$directory/events' CSV

-- Epoch and version 0: whatever tandem writes of the same room is newer. The old server kept its live rooms in Redis, which is not moved:
-- here they are closed, and open again with their next JOIN.
INSERT INTO rooms (id, host_user_id, current_url, "current_time", is_playing, guest_control_enabled, created_at, updated_at, archived_at,
                   epoch, version, position_at_ms)
SELECT id, host_user_id, current_url, position, false, guest_control, created_at, updated_at, coalesce(archived_at, updated_at),
       0, 0, (extract(epoch FROM updated_at) * 1000)::bigint
FROM old_rooms ON CONFLICT DO NOTHING;

INSERT INTO users (id, room_id, username, created_at, updated_at, left_at, epoch, version)
SELECT id, room_id, username, created_at, updated_at, updated_at, 0, 0 FROM old_users ON CONFLICT DO NOTHING;

-- A table a month, as the worker makes them.
DO \$\$
DECLARE month timestamp;
BEGIN
    FOR month IN SELECT DISTINCT date_trunc('month', created_at AT TIME ZONE 'UTC') FROM old_events LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF room_events FOR VALUES FROM (%L) TO (%L)',
                       'room_events_' || to_char(month, 'YYYY_MM'), month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END \$\$;

-- The same old number always gives the same UUID and version: a second run inserts nothing, and events of one moment stay apart.
INSERT INTO room_events (id, room_id, event_type, user_id, data, created_at, epoch, version, node_id)
SELECT md5('first generation, room_events ' || id)::uuid, room_id, event_type, coalesce(user_id, 'server'), coalesce(data, '{}'), created_at,
       0, id, 'first-generation'
FROM old_events ON CONFLICT DO NOTHING;

SELECT format('read:  %s rooms, %s users, %s events', (SELECT count(*) FROM old_rooms), (SELECT count(*) FROM old_users), (SELECT count(*) FROM old_events))
\g (format=unaligned tuples_only=on)
SELECT format('there: %s rooms, %s users, %s events of the first generation', (SELECT count(*) FROM rooms WHERE epoch = 0 AND version = 0),
              (SELECT count(*) FROM users WHERE epoch = 0 AND version = 0), (SELECT count(*) FROM room_events WHERE node_id = 'first-generation'))
\g (format=unaligned tuples_only=on)
COMMIT;
SQL
