-- Revocations of tower-jwt-auth, for SQLite 3.37 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_revocations (
    id     TEXT    NOT NULL,
    -- What the id identifies: token, session or subject.
    kind   TEXT    NOT NULL,
    -- The issuer of the tokens; empty for tokens without an issuer.
    issuer TEXT    NOT NULL,
    -- Tokens that were issued at or before this time are revoked.
    cutoff INTEGER NOT NULL,
    -- The time from which the row may be removed.
    until  INTEGER NOT NULL,
    PRIMARY KEY (id, kind, issuer)
) STRICT, WITHOUT ROWID;

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_revocations_until ON jwt_revocations (until);
