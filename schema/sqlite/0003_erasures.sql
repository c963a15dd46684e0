-- That somebody was erased, without who: `tandem audit forget` writes a row each time.
CREATE TABLE erasures (
    id         INTEGER NOT NULL PRIMARY KEY,
    erased_at  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,                         -- keyed hash of the userId
    erased     TEXT    NOT NULL CHECK (json_valid(erased)) -- how much of what
) STRICT;

CREATE INDEX erasures_subject ON erasures (subject);
