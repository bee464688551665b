-- API keys of tower-jwt-auth, for PostgreSQL 12 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_api_keys (
    -- Compared by their bytes, whatever the collation of the database.
    id            text COLLATE "C" NOT NULL PRIMARY KEY,
    owner         text COLLATE "C" NOT NULL,
    -- The SHA-256 of the key, in base64url. The key itself is stored nowhere.
    secret_digest text   NOT NULL,
    label         text,
    -- Scopes, roles and claims, as JSON.
    payload       text   NOT NULL,
    created_at    bigint NOT NULL,
    -- Null if it never expires.
    expires_at    bigint,
    -- Null if it was never used.
    last_used_at  bigint
);

-- To list, count and revoke the keys of an owner. A hash index takes owners of any length.
CREATE INDEX IF NOT EXISTS jwt_api_keys_owner ON jwt_api_keys USING hash (owner);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_api_keys_expires_at ON jwt_api_keys (expires_at)
    WHERE expires_at IS NOT NULL;
