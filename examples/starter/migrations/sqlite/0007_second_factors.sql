-- What a user shows beside the password. A secret is encrypted (SEALING_KEYS), or the
-- number of a phone.
CREATE TABLE second_factors (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('totp', 'sms')),
    secret     TEXT NOT NULL,
    confirmed  INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    last_step  INTEGER NOT NULL DEFAULT 0, -- of 30 seconds; no code of it, or before it, is good again
    created_at INTEGER NOT NULL, -- seconds since 1970, like all times here
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

-- SHA-256 of codes that are on paper.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  TEXT NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;

-- Hashes of codes that were sent, and how many.
CREATE TABLE sms_codes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    hash       TEXT NOT NULL,
    tries      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sent       INTEGER NOT NULL,
    sent_since INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;

-- Logins that still have to show a code.
CREATE TABLE login_challenges (
    digest     TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      TEXT NOT NULL, -- SHA-256 of the password hash at that time
    tries      INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);
