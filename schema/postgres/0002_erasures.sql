-- That somebody was erased, without who: `tandem audit forget` writes a row each time.
CREATE TABLE erasures (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erased_at  timestamptz NOT NULL DEFAULT now(),
    subject    text        NOT NULL,                     -- keyed hash of the userId
    erased     json        NOT NULL                      -- how much of what
);

CREATE INDEX erasures_subject ON erasures (subject);
