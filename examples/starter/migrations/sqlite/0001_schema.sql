-- The tables of the service, besides those that the crate makes for sessions and revocations. Times are
-- seconds since 1970. A section whose heading names an optional chapter goes with that chapter.

-- === accounts ===

-- Who can log in.
CREATE TABLE users (
    id             TEXT NOT NULL PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE,
    password_hash  TEXT NOT NULL, -- it names its algorithm: old hashes may be imported as they are
    scopes         TEXT NOT NULL DEFAULT '',
    email_verified INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)), -- whether the owner of the address has proved that it is theirs
    disabled       INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at     INTEGER NOT NULL DEFAULT (unixepoch()),
    -- What a login depends on has one version: whoever opens a session compares it with the one that was
    -- read before the password was looked at. Triggers see to it that no change is missed.
    version        INTEGER NOT NULL DEFAULT 0,
    -- A stronger hash of the same password changes nothing that a login depends on.
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

-- Addresses that somebody has named and not proved yet. Each row is made by one registration, or by one
-- request for a new password at an address without a proved account, and has links of its own.
CREATE TABLE registrations (
    id            TEXT NOT NULL PRIMARY KEY,
    email         TEXT NOT NULL,
    purpose       TEXT NOT NULL CHECK (purpose IN ('register', 'reset')),
    password_hash TEXT, -- chosen with the registration; a reset chooses it with the link
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE, -- the account that it has made
    created_at    INTEGER NOT NULL,
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

-- Links to users whose address is proved: SHA-256 of what is in the link, and what the link is bound to.
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

-- Accounts that a proof of their address has removed. Their sessions and files are not in these tables, so
-- they are removed by the service, once more after a while.
CREATE TABLE removed_users (
    id         TEXT NOT NULL PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX removed_users_removed_at ON removed_users (removed_at);

-- Changes of an address that wait for a link in an email to each address to be confirmed: see
-- src/accounts/email_change. Of the links there is the SHA-256.
CREATE TABLE email_changes (
    user_id       TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL, -- the new one
    session_id    TEXT    NOT NULL, -- goes on when the others end
    version       INTEGER NOT NULL, -- of the user; with another one, the change is over
    new_link      TEXT    UNIQUE,
    old_link      TEXT    UNIQUE,
    new_confirmed INTEGER NOT NULL DEFAULT 0 CHECK (new_confirmed IN (0, 1)),
    old_confirmed INTEGER NOT NULL DEFAULT 0 CHECK (old_confirmed IN (0, 1)),
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX email_changes_expires_at ON email_changes (expires_at);

-- === limits ===

-- Passwords and codes that were tried in vain, in a row: see src/limits/attempts.rs. An account is the
-- SHA-256 of what the client called it, whether or not it exists.
CREATE TABLE login_failures (
    account   TEXT NOT NULL,
    place     TEXT NOT NULL, -- the address of the client; '' for all that are not known
    failures  INTEGER NOT NULL,
    failed_at INTEGER NOT NULL,
    known_at  INTEGER NOT NULL DEFAULT 0, -- the last success
    forgiven  INTEGER NOT NULL DEFAULT 0, -- failures that a new password has forgiven, in a row
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);

-- How much was taken of what is limited: see src/limits/quotas.rs.
CREATE TABLE quotas (
    name    TEXT NOT NULL PRIMARY KEY, -- the kind, and a digest of whose it is
    used    INTEGER NOT NULL,
    ends_at INTEGER NOT NULL -- when the next window may begin
) STRICT, WITHOUT ROWID;

CREATE INDEX quotas_ends_at ON quotas (ends_at);

-- === operations ===

-- One row that is written to find out whether the database can be written to.
CREATE TABLE writable (
    id         INTEGER NOT NULL PRIMARY KEY,
    checked_at INTEGER NOT NULL
) STRICT;

-- === second-factor ===

-- What a user shows beside the password. A secret is encrypted (SEALING_KEYS), or a phone number.
CREATE TABLE second_factors (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('totp', 'sms', 'passkey')),
    secret     TEXT NOT NULL,
    confirmed  INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    last_step  INTEGER NOT NULL DEFAULT 0, -- of 30 seconds; no code of it, or before it, is good again
    created_at INTEGER NOT NULL,
    -- The same secret, encrypted with another key, changes nothing that a login depends on.
    resealed   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

-- Factors that were proposed, and not confirmed in time.
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

-- SHA-256 of codes that are on paper.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  TEXT NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;

-- Logins that still have to show a code.
CREATE TABLE login_challenges (
    digest     TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      TEXT NOT NULL, -- SHA-256 of the version of the user at that time
    amr        TEXT NOT NULL, -- what the first factor was (RFC 8176)
    tries      INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);

-- === sms ===

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

-- === passkeys ===

-- Public keys, whose other halves are in devices and keychains.
CREATE TABLE passkeys (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT    NOT NULL UNIQUE, -- what the device calls it, in base64url
    passkey       TEXT    NOT NULL, -- the key and its counter, as the library writes them
    label         TEXT    NOT NULL,
    is_synced     INTEGER NOT NULL CHECK (is_synced IN (0, 1)),
    is_refused    INTEGER NOT NULL DEFAULT 0 CHECK (is_refused IN (0, 1)),
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- What browsers were asked, and have not answered yet.
CREATE TABLE passkey_ceremonies (
    digest       TEXT    NOT NULL PRIMARY KEY,
    purpose      TEXT    NOT NULL,
    holder       TEXT    NOT NULL, -- a digest of whose question it is
    bound_to     TEXT    NOT NULL, -- a digest of what the answer has to come with
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

-- Which login at a provider opens which account. A user has one login of each issuer. One that was unlinked logs
-- nobody in, and is kept so that only its user can link it again.
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

-- A login that is under way with it ends.
CREATE TRIGGER linked_logins_unlinked AFTER UPDATE OF unlinked_at ON linked_logins
WHEN OLD.unlinked_at IS NULL AND NEW.unlinked_at IS NOT NULL
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

CREATE TRIGGER linked_logins_removed AFTER DELETE ON linked_logins WHEN OLD.unlinked_at IS NULL
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

-- Logins for which a browser was sent to a provider: SHA-256 of the state, and of the code verifier that is in a
-- cookie of that browser.
CREATE TABLE provider_logins_begun (
    state      TEXT NOT NULL PRIMARY KEY,
    challenge  TEXT NOT NULL,
    provider   TEXT NOT NULL,
    nonce      TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE, -- who wants to link the login
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
