-- Revocations of tower-jwt-auth, for SQLite 3.37 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_revocations (
    id     TEXT    NOT NULL,
    -- token, session or subject: what the id is of.
    kind   TEXT    NOT NULL,
    -- Whose tokens; empty for tokens without an issuer.
    issuer TEXT    NOT NULL,
    -- Hits what was issued up to here.
    cutoff INTEGER NOT NULL,
    -- When it may be forgotten.
    until  INTEGER NOT NULL,
    PRIMARY KEY (id, kind, issuer)
) STRICT, WITHOUT ROWID;

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_revocations_until ON jwt_revocations (until);
