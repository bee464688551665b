-- Used DPoP proofs of tower-jwt-auth, for SQLite 3.37 or later.

CREATE TABLE IF NOT EXISTS jwt_proofs (
    -- The SHA-256 of the proof's key, id and address.
    digest BLOB    NOT NULL PRIMARY KEY,
    -- Microseconds since the Unix epoch.
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_proofs_until ON jwt_proofs (until);
