-- What a user shows beside the password. A secret is encrypted (SEALING_KEYS), or the
-- number of a phone.
CREATE TABLE second_factors (
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('totp', 'sms')),
    secret     text NOT NULL,
    confirmed  boolean NOT NULL DEFAULT FALSE,
    last_step  bigint NOT NULL DEFAULT 0, -- of 30 seconds; no code of it, or before it, is good again
    created_at bigint NOT NULL, -- seconds since 1970, like all times here
    PRIMARY KEY (user_id, kind)
);

-- SHA-256 of codes that are on paper.
CREATE TABLE recovery_codes (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  text NOT NULL,
    PRIMARY KEY (user_id, digest)
);

-- Hashes of codes that were sent, and how many.
CREATE TABLE sms_codes (
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL,
    hash       text NOT NULL,
    tries      bigint NOT NULL,
    expires_at bigint NOT NULL,
    sent       bigint NOT NULL,
    sent_since bigint NOT NULL,
    PRIMARY KEY (user_id, purpose)
);

-- Logins that still have to show a code.
CREATE TABLE login_challenges (
    digest     text NOT NULL PRIMARY KEY,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      text NOT NULL, -- SHA-256 of the password hash at that time
    tries      bigint NOT NULL DEFAULT 0,
    expires_at bigint NOT NULL
);

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);
