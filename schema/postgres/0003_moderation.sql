-- Moderation: a room may be locked, and users may be banned from it.
ALTER TABLE rooms ADD COLUMN locked boolean NOT NULL DEFAULT false;

CREATE TABLE room_bans (
    room_id      text    NOT NULL,
    user_id      text    NOT NULL,
    username     text,
    origin       text,                                   -- keyed hash of the address, if no other member had it
    banned_at_ms bigint  NOT NULL,
    lifted       boolean NOT NULL DEFAULT false,
    epoch        bigint  NOT NULL,                       -- only what is newer by (epoch, version) changes a row
    version      bigint  NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
