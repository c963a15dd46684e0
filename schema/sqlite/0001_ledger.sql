-- The ledger of a single node. `room_events` is append-only; `rooms` and `users` are derived from it and tell how things are now.
-- Times in *_at columns are ISO 8601 in UTC with milliseconds, so they sort as texts.

CREATE TABLE room_events (
    id          TEXT    NOT NULL PRIMARY KEY,            -- UUIDv7: sorts by time, and a second insert of the same event does nothing
    room_id     TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,                        -- 'server' for what no member did
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    created_at  TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,                        -- which incarnation of the room
    version     INTEGER NOT NULL,                        -- the room's version after this event
    node_id     TEXT    NOT NULL                         -- the node that decided it
) STRICT;

CREATE INDEX room_events_room_created ON room_events (room_id, created_at);
CREATE INDEX room_events_created ON room_events (created_at);

CREATE TABLE rooms (
    id                    TEXT    NOT NULL PRIMARY KEY,
    host_user_id          TEXT,
    current_url           TEXT,
    "current_time"        REAL    NOT NULL DEFAULT 0,    -- seconds into the film, at position_at_ms
    is_playing            INTEGER NOT NULL DEFAULT 0,
    guest_control_enabled INTEGER NOT NULL DEFAULT 0,
    created_at            TEXT    NOT NULL,
    updated_at            TEXT    NOT NULL,
    archived_at           TEXT,                          -- when it was closed; null while it is alive
    epoch                 INTEGER NOT NULL,
    version               INTEGER NOT NULL,
    rate                  REAL    NOT NULL DEFAULT 1,
    position_at_ms        INTEGER NOT NULL,
    empty_until_ms        INTEGER,                       -- when the empty room will be closed
    pin_digest            TEXT,                          -- keyed hash
    host_origin           TEXT                           -- keyed hash of the host's address
) STRICT;

CREATE INDEX rooms_alive ON rooms (archived_at) WHERE archived_at IS NULL;

CREATE TABLE users (
    id             TEXT    NOT NULL,
    room_id        TEXT    NOT NULL,
    username       TEXT,
    created_at     TEXT    NOT NULL,                     -- when it first came into this room
    updated_at     TEXT    NOT NULL,
    left_at        TEXT,                                 -- null while it is in the room
    role           TEXT    NOT NULL DEFAULT 'member',    -- member or co-host; the host is rooms.host_user_id
    seat_order     INTEGER NOT NULL,                     -- in which order the members of a room came
    peer_id        TEXT    NOT NULL,                     -- its last socket
    token_digest   TEXT,                                 -- keyed hash of what takes the seat again after a restart
    origin         TEXT    NOT NULL,                     -- keyed hash of its address
    PRIMARY KEY (id, room_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX users_room ON users (room_id);

-- When the node was last known to run: rooms outlive a restart that is shorter than their grace.
CREATE TABLE node_alive (
    only    INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    at_ms   INTEGER NOT NULL
) STRICT;
