-- Revoked tokens of a single node, in the order in which they were revoked, and who has used invitations.
CREATE TABLE revocations (
    id               INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind             TEXT    NOT NULL CHECK (kind IN ('token', 'user', 'room')),
    target           TEXT    NOT NULL, -- the claim jti, a userId, or a roomId
    issued_before_ms INTEGER NOT NULL, -- of a user or a room: tokens that were issued before this
    until_ms         INTEGER NOT NULL  -- until when it is kept: by then each of the tokens has expired
) STRICT;

CREATE TABLE invitation_uses (
    invitation TEXT    NOT NULL,
    used_by    TEXT    NOT NULL,       -- keyed hash of the userId
    until_ms   INTEGER NOT NULL,       -- when the invitation expires
    PRIMARY KEY (invitation, used_by)
) STRICT, WITHOUT ROWID;
