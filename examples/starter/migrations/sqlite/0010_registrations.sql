-- Addresses that somebody has named and not proved yet. Each row is made by one registration, or by one
-- request for a new password at an address without a proved account, and has links of its own.
CREATE TABLE registrations (
    id            TEXT NOT NULL PRIMARY KEY,
    email         TEXT NOT NULL,
    purpose       TEXT NOT NULL CHECK (purpose IN ('register', 'reset')),
    password_hash TEXT, -- chosen with the registration; a reset chooses it with the link
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE, -- the account that it has made
    created_at    INTEGER NOT NULL, -- seconds since 1970
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX registrations_email ON registrations (email, purpose, created_at);
CREATE INDEX registrations_user_id ON registrations (user_id);
CREATE INDEX registrations_expires_at ON registrations (expires_at);

-- SHA-256 of what is in the links. They are good for as long as the registration is.
CREATE TABLE registration_links (
    digest          TEXT NOT NULL PRIMARY KEY,
    registration_id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX registration_links_registration_id ON registration_links (registration_id, created_at);

-- Accounts that a proof of their address has removed. Their sessions and files are not in these tables, so
-- they are removed by the service, once more after a while.
CREATE TABLE removed_users (
    id         TEXT NOT NULL PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX removed_users_removed_at ON removed_users (removed_at);

-- These links could prove an address without this. Whoever waits for one asks for another.
DELETE FROM one_time_tokens;
