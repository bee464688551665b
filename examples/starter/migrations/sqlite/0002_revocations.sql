-- What has been revoked before it expired. An id means something only within its kind and issuer.
CREATE TABLE revocations (
    kind   TEXT NOT NULL CHECK (kind IN ('token', 'session', 'subject')),
    issuer TEXT NOT NULL,
    id     TEXT NOT NULL,
    cutoff INTEGER NOT NULL, -- microseconds since 1970, for subjects; otherwise 0
    until  INTEGER NOT NULL, -- seconds since 1970, when the row may be forgotten
    PRIMARY KEY (kind, issuer, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_until ON revocations (until);
