-- The tables of the service. The crate creates its own tables for sessions, revocations and used proofs. Times are
-- seconds since 1970. A section whose heading names an optional chapter is removed with that chapter.

-- === accounts ===

-- The users.
CREATE TABLE users (
    id             TEXT NOT NULL PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE,
    password_hash  TEXT NOT NULL, -- names its algorithm, so old hashes may be imported as they are
    scopes         TEXT NOT NULL DEFAULT '',
    email_verified INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)), -- whether the owner of the address has proved that it is theirs
    disabled       INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at     INTEGER NOT NULL DEFAULT (unixepoch()),
    -- The version of everything that a login depends on. Before a session is opened, it is compared with the
    -- version that was read before the password was checked. Triggers raise it, so that no change is missed.
    version        INTEGER NOT NULL DEFAULT 0,
    -- Counts stronger hashes of the same password, which change nothing that a login depends on.
    rehashes       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER users_version
AFTER UPDATE OF email, password_hash, scopes, email_verified, disabled ON users
WHEN NEW.email <> OLD.email OR NEW.scopes <> OLD.scopes
    OR NEW.email_verified <> OLD.email_verified OR NEW.disabled <> OLD.disabled
    OR (NEW.password_hash <> OLD.password_hash AND NEW.rehashes = OLD.rehashes)
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.id;
END;

-- Email addresses that somebody has registered and not proved yet. Each row comes from one registration, or from
-- one request for a new password at an address without a proved account, and has its own links.
CREATE TABLE registrations (
    id            TEXT NOT NULL PRIMARY KEY,
    email         TEXT NOT NULL,
    purpose       TEXT NOT NULL CHECK (purpose IN ('register', 'reset')),
    password_hash TEXT, -- chosen with the registration; for a reset it is chosen with the link
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE, -- the account that this registration has made
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX registrations_email ON registrations (email, purpose, created_at);
CREATE INDEX registrations_user_id ON registrations (user_id);
CREATE INDEX registrations_expires_at ON registrations (expires_at);

-- The SHA-256 of the tokens in links. They are valid for as long as the registration.
CREATE TABLE registration_links (
    digest          TEXT NOT NULL PRIMARY KEY,
    registration_id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX registration_links_registration_id ON registration_links (registration_id, created_at);

-- Links to users whose address is proved: the SHA-256 of the token, and a digest of what the link is bound to.
CREATE TABLE one_time_tokens (
    digest     TEXT NOT NULL PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id, purpose, created_at);
CREATE INDEX one_time_tokens_expires_at ON one_time_tokens (expires_at);

-- Accounts that were deleted, or removed by the proof of their address. Their sessions and files are not in these
-- tables, so the service removes them, and once more after a minute.
CREATE TABLE removed_users (
    id         TEXT NOT NULL PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX removed_users_removed_at ON removed_users (removed_at);

-- Changes of an address whose two links are not both confirmed yet: see src/accounts/email_change. The links are
-- stored as SHA-256.
CREATE TABLE email_changes (
    user_id       TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL, -- the new address
    session_id    TEXT    NOT NULL, -- the session that asked, which does not end with the others
    version       INTEGER NOT NULL, -- of the user; if that differs, the change has ended
    new_link      TEXT    UNIQUE,
    old_link      TEXT    UNIQUE,
    new_confirmed INTEGER NOT NULL DEFAULT 0 CHECK (new_confirmed IN (0, 1)),
    old_confirmed INTEGER NOT NULL DEFAULT 0 CHECK (old_confirmed IN (0, 1)),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX email_changes_expires_at ON email_changes (expires_at);

-- === limits ===

-- Consecutive failures with passwords and codes: see src/limits/attempts.rs. `account` is the SHA-256 of what the
-- client called the account, whether or not it exists.
CREATE TABLE login_failures (
    account   TEXT NOT NULL,
    place     TEXT NOT NULL, -- the client address; '' for all unknown addresses together
    failures  INTEGER NOT NULL,
    failed_at INTEGER NOT NULL,
    known_at  INTEGER NOT NULL DEFAULT 0, -- the last success
    forgiven  INTEGER NOT NULL DEFAULT 0, -- consecutive failures that new passwords have forgiven
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);

-- How much of each quota was used: see src/limits/quotas.rs.
CREATE TABLE quotas (
    name    TEXT NOT NULL PRIMARY KEY, -- the kind, and a digest of who is limited
    used    INTEGER NOT NULL,
    ends_at INTEGER NOT NULL -- when the next window may begin
) STRICT, WITHOUT ROWID;

CREATE INDEX quotas_ends_at ON quotas (ends_at);

-- === keys ===

-- Random bytes that all processes share: see src/keys/shared.rs. The first process that needs a secret makes it.
CREATE TABLE shared_secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- === operations ===

-- One row, which /readyz writes to find out whether the database can be written to.
CREATE TABLE writable (
    id         INTEGER NOT NULL PRIMARY KEY,
    checked_at INTEGER NOT NULL
) STRICT;

-- === second-factor ===

-- The second factors of users. A secret is encrypted (SEALING_KEYS), or it is a phone number.
CREATE TABLE second_factors (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('totp', 'sms', 'passkey')),
    secret     TEXT NOT NULL,
    confirmed  INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    last_step  INTEGER NOT NULL DEFAULT 0, -- the last used step of 30 seconds; codes of it and of earlier steps are refused
    created_at INTEGER NOT NULL,
    -- Counts encryptions with another key, which change nothing that a login depends on.
    resealed   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

-- For finding proposed factors that were not confirmed in time.
CREATE INDEX second_factors_proposed ON second_factors (created_at) WHERE NOT confirmed;

CREATE TRIGGER second_factors_added AFTER INSERT ON second_factors WHEN NEW.confirmed
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

CREATE TRIGGER second_factors_changed AFTER UPDATE OF secret, confirmed ON second_factors
WHEN (NEW.confirmed OR OLD.confirmed)
    AND (NEW.confirmed <> OLD.confirmed
        OR (NEW.secret <> OLD.secret AND NEW.resealed = OLD.resealed))
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

CREATE TRIGGER second_factors_removed AFTER DELETE ON second_factors WHEN OLD.confirmed
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

-- The SHA-256 of recovery codes.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  TEXT NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;

-- Logins that still need the second factor.
CREATE TABLE login_challenges (
    digest     TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      TEXT NOT NULL, -- the SHA-256 of the version of the user at that time
    amr        TEXT NOT NULL, -- how the first factor was proved (RFC 8176)
    tries      INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);

-- === sms ===

-- The hashes of codes that were sent, and how many were sent.
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

-- === passkeys ===

-- The public keys of passkeys. The private keys are in devices and keychains.
CREATE TABLE passkeys (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT    NOT NULL UNIQUE, -- the id that the device uses, in base64url
    passkey       TEXT    NOT NULL, -- the key and its counter, in the format of the library
    label         TEXT    NOT NULL,
    is_synced     INTEGER NOT NULL CHECK (is_synced IN (0, 1)),
    is_refused    INTEGER NOT NULL DEFAULT 0 CHECK (is_refused IN (0, 1)),
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- Requests for passkeys that browsers have not answered yet.
CREATE TABLE passkey_ceremonies (
    digest       TEXT    NOT NULL PRIMARY KEY,
    purpose      TEXT    NOT NULL,
    holder       TEXT    NOT NULL, -- a digest of who has asked
    bound_to     TEXT    NOT NULL, -- a digest of what the answer must come with
    user_id      TEXT    REFERENCES users (id) ON DELETE CASCADE,
    user_version INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX passkey_ceremonies_holder ON passkey_ceremonies (holder, expires_at);
CREATE INDEX passkey_ceremonies_expires_at ON passkey_ceremonies (expires_at);

CREATE TRIGGER passkeys_added AFTER INSERT ON passkeys
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

CREATE TRIGGER passkeys_refused AFTER UPDATE OF is_refused ON passkeys
WHEN NEW.is_refused <> OLD.is_refused
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

CREATE TRIGGER passkeys_removed AFTER DELETE ON passkeys
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

-- === social-login ===

-- Which login at a provider opens which account. A user has at most one login of each issuer. An unlinked login
-- cannot log in. It is kept so that only its user can link it again.
CREATE TABLE linked_logins (
    issuer      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    linked_at   INTEGER NOT NULL,
    used_at     INTEGER,
    unlinked_at INTEGER,
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_id, issuer)
) STRICT, WITHOUT ROWID;

-- A login with it that is under way fails.
CREATE TRIGGER linked_logins_unlinked AFTER UPDATE OF unlinked_at ON linked_logins
WHEN OLD.unlinked_at IS NULL AND NEW.unlinked_at IS NOT NULL
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

CREATE TRIGGER linked_logins_removed AFTER DELETE ON linked_logins WHEN OLD.unlinked_at IS NULL
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

-- Logins for which a browser was sent to a provider: the SHA-256 of the state, and of the code verifier in a cookie
-- of that browser.
CREATE TABLE provider_logins_begun (
    state      TEXT NOT NULL PRIMARY KEY,
    challenge  TEXT NOT NULL,
    provider   TEXT NOT NULL,
    nonce      TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE, -- the user who wants to link the login
    version    INTEGER, -- of that user
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX provider_logins_begun_user_id ON provider_logins_begun (user_id);
CREATE INDEX provider_logins_begun_expires_at ON provider_logins_begun (expires_at);

-- Logins that a provider has confirmed, until the page asks for the session.
CREATE TABLE provider_logins_proved (
    digest     TEXT NOT NULL PRIMARY KEY,
    provider   TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    auth_time  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX provider_logins_proved_user_id ON provider_logins_proved (user_id);
CREATE INDEX provider_logins_proved_expires_at ON provider_logins_proved (expires_at);
