-- Revocations of tower-jwt-auth, for PostgreSQL 12 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_revocations (
    id     text COLLATE "C" NOT NULL,
    -- What the id identifies: token, session or subject.
    kind   text COLLATE "C" NOT NULL,
    -- The issuer of the tokens; empty for tokens without an issuer.
    issuer text COLLATE "C" NOT NULL,
    -- Tokens that were issued at or before this time are revoked.
    cutoff bigint NOT NULL,
    -- The time from which the row may be removed.
    until  bigint NOT NULL,
    PRIMARY KEY (id, kind, issuer)
);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_revocations_until ON jwt_revocations (until);
