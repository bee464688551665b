-- API keys of tower-jwt-auth, for SQLite 3.37 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_api_keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    owner         TEXT    NOT NULL,
    -- The SHA-256 of the key, in base64url. The key itself is stored nowhere.
    secret_digest TEXT    NOT NULL,
    label         TEXT,
    -- Scopes, roles and claims, as JSON.
    payload       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    -- Null if it never expires.
    expires_at    INTEGER,
    -- Null if it was never used.
    last_used_at  INTEGER
) STRICT;

-- To list, count and revoke the keys of an owner.
CREATE INDEX IF NOT EXISTS jwt_api_keys_owner ON jwt_api_keys (owner, created_at, id);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_api_keys_expires_at ON jwt_api_keys (expires_at)
    WHERE expires_at IS NOT NULL;
