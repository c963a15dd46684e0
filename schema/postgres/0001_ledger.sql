-- The ledger of a cluster. `room_events` is append-only; `rooms` and `users` are derived from it and tell how things are now. Names
-- are those of schema/sqlite, and of the server of the first generation.

CREATE TABLE room_events (
    -- Those of a fixed length first: so there are no gaps between them.
    created_at  timestamptz NOT NULL,
    epoch       bigint      NOT NULL,                    -- which incarnation of the room
    version     bigint      NOT NULL,                    -- the room's version after this event
    id          uuid        NOT NULL,                    -- UUIDv7, made of time, room, epoch and version
    room_id     text        NOT NULL,
    event_type  text        NOT NULL,
    user_id     text        NOT NULL,                    -- 'server' for what no member did
    node_id     text        NOT NULL,                    -- the node that decided it
    data        json        NOT NULL,                    -- as it was written: smaller than jsonb, and cheaper
    PRIMARY KEY (room_id, created_at, epoch, version)    -- a second insert of the same event does nothing; and what a room did when
) PARTITION BY RANGE (created_at);

-- A table a month, room_events_YYYY_MM, in UTC. The worker makes them: those of the next months ahead, any other when an event asks
-- for it. There is no DEFAULT partition on purpose: a month whose events lie in it already could not be made any more without moving
-- them, and what lies in it would never be dropped.

-- Events are written as they happen, so those of a time are together, and this index costs next to nothing. With it and the index of users
-- PostgreSQL finds what a user did at a time. An index of both would cost half as much again: equal keys share their place in an index.
CREATE INDEX room_events_user ON room_events (user_id);
CREATE INDEX room_events_created ON room_events USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE rooms (
    id                    text             NOT NULL PRIMARY KEY,
    host_user_id          text,
    current_url           text,
    guest_control_enabled boolean          NOT NULL DEFAULT false,
    created_at            timestamptz      NOT NULL,
    archived_at           timestamptz,                           -- when it was closed; null while it is alive
    empty_until_ms        bigint,                                -- when the empty room will be closed
    pin_digest            text,                                  -- keyed hash
    host_origin           text,                                  -- keyed hash of the host's address
    rate                  double precision NOT NULL DEFAULT 1,
    epoch                 bigint           NOT NULL,             -- only what is newer by (epoch, version) changes a row
    state_version         bigint           NOT NULL DEFAULT 0,   -- the version of host, url, guest control, PIN and empty_until_ms; 0: they are of an earlier epoch
    -- What changes with each change of the film is together, because only that goes into the WAL.
    film_version          bigint           NOT NULL DEFAULT 0,   -- the version of current_time, is_playing, rate and position_at_ms
    version               bigint           NOT NULL,
    updated_at            timestamptz      NOT NULL,
    position_at_ms        bigint           NOT NULL,
    "current_time"        double precision NOT NULL DEFAULT 0,   -- seconds into the film, at position_at_ms
    is_playing            boolean          NOT NULL DEFAULT false
    -- With room on the page, and no index on what changes while a room is open, an update touches no index (HOT).
) WITH (fillfactor = 50);

CREATE INDEX rooms_open ON rooms (id) WHERE archived_at IS NULL;

CREATE TABLE users (
    id             text        NOT NULL,
    room_id        text        NOT NULL,
    username       text,
    created_at     timestamptz NOT NULL,                 -- when it first came into this room
    updated_at     timestamptz NOT NULL,
    left_at        timestamptz,                          -- null while it is in the room
    role           text        NOT NULL DEFAULT 'member',-- member or co-host; the host is rooms.host_user_id
    -- Null in the row of somebody whose leaving was heard of before its coming.
    seat_order     bigint,                               -- in which order the members of a room came
    peer_id        text,                                 -- its last socket
    token_digest   text,                                 -- keyed hash of what takes the seat again
    origin         text,                                 -- keyed hash of its address
    epoch          bigint      NOT NULL,                 -- as in rooms
    version        bigint      NOT NULL,
    PRIMARY KEY (id, room_id)
);

CREATE INDEX users_room ON users (room_id);

-- What could not be written, for people to look at: `tandem audit dead-letters`.
CREATE TABLE dead_letters (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream     text        NOT NULL,                     -- where in Redis it came from
    entry_id   text        NOT NULL,
    payload    text        NOT NULL,                     -- a ledger entry as JSON, if it ever was one
    error      text        NOT NULL,
    tries      integer     NOT NULL DEFAULT 1,
    failed_at  timestamptz NOT NULL DEFAULT now(),       -- the first time
    tried_at   timestamptz NOT NULL DEFAULT now()        -- the last time
);

CREATE INDEX dead_letters_entry ON dead_letters (stream, entry_id);
