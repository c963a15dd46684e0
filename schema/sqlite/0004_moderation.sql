-- Moderation: a room may be locked, and users may be banned from it.
ALTER TABLE rooms ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;

CREATE TABLE room_bans (
    room_id      TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    username     TEXT,
    origin       TEXT,                                   -- keyed hash of the address, if no other member had it
    banned_at_ms INTEGER NOT NULL,
    lifted       INTEGER NOT NULL DEFAULT 0,
    epoch        INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT;
