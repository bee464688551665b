-- Revocations of tower-jwt-auth, for PostgreSQL 12 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_revocations (
    id     text COLLATE "C" NOT NULL,
    -- token, session or subject: what the id is of.
    kind   text COLLATE "C" NOT NULL,
    -- Whose tokens; empty for tokens without an issuer.
    issuer text COLLATE "C" NOT NULL,
    -- Hits what was issued up to here.
    cutoff bigint NOT NULL,
    -- When it may be forgotten.
    until  bigint NOT NULL,
    PRIMARY KEY (id, kind, issuer)
);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_revocations_until ON jwt_revocations (until);
