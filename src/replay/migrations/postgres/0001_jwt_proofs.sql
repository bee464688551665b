-- Used DPoP proofs of tower-jwt-auth, for PostgreSQL 12 or later.

CREATE TABLE IF NOT EXISTS jwt_proofs (
    -- The SHA-256 of the proof's key, id and address.
    digest bytea  NOT NULL PRIMARY KEY,
    -- Microseconds since the Unix epoch.
    until  bigint NOT NULL
);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_proofs_until ON jwt_proofs (until);
