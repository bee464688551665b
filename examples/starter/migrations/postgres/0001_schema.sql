-- The tables of the service. The crate creates its own tables for sessions, revocations and used proofs. Times are
-- seconds since 1970. A section whose heading names an optional chapter is removed with that chapter.

-- === accounts ===

-- The users.
CREATE TABLE users (
    id             text NOT NULL PRIMARY KEY,
    email          text NOT NULL UNIQUE,
    password_hash  text NOT NULL, -- names its algorithm, so old hashes may be imported as they are
    scopes         text NOT NULL DEFAULT '',
    email_verified boolean NOT NULL DEFAULT FALSE, -- whether the owner of the address has proved that it is theirs
    disabled       boolean NOT NULL DEFAULT FALSE,
    created_at     bigint NOT NULL DEFAULT floor(extract(epoch FROM now())),
    -- The version of everything that a login depends on. Before a session is opened, it is compared with the
    -- version that was read before the password was checked. Triggers raise it, so that no change is missed.
    version        bigint NOT NULL DEFAULT 0,
    -- Counts stronger hashes of the same password, which change nothing that a login depends on.
    rehashes       bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION users_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

CREATE TRIGGER users_version
BEFORE UPDATE OF email, password_hash, scopes, email_verified, disabled ON users
FOR EACH ROW WHEN (NEW.email <> OLD.email OR NEW.scopes <> OLD.scopes
    OR NEW.email_verified <> OLD.email_verified OR NEW.disabled <> OLD.disabled
    OR (NEW.password_hash <> OLD.password_hash AND NEW.rehashes = OLD.rehashes))
EXECUTE FUNCTION users_next_version();

-- Email addresses that somebody has registered and not proved yet. Each row comes from one registration, or from
-- one request for a new password at an address without a proved account, and has its own links.
CREATE TABLE registrations (
    id            text NOT NULL PRIMARY KEY,
    email         text NOT NULL,
    purpose       text NOT NULL CHECK (purpose IN ('register', 'reset')),
    password_hash text, -- chosen with the registration; for a reset it is chosen with the link
    user_id       text REFERENCES users (id) ON DELETE CASCADE, -- the account that this registration has made
    created_at    bigint NOT NULL,
    expires_at    bigint NOT NULL
);

CREATE INDEX registrations_email ON registrations (email, purpose, created_at);
CREATE INDEX registrations_user_id ON registrations (user_id);
CREATE INDEX registrations_expires_at ON registrations (expires_at);

-- The SHA-256 of the tokens in links. They are valid for as long as the registration.
CREATE TABLE registration_links (
    digest          text NOT NULL PRIMARY KEY,
    registration_id text NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    created_at      bigint NOT NULL
);

CREATE INDEX registration_links_registration_id ON registration_links (registration_id, created_at);

-- Links to users whose address is proved: the SHA-256 of the token, and a digest of what the link is bound to.
CREATE TABLE one_time_tokens (
    digest     text NOT NULL PRIMARY KEY,
    purpose    text NOT NULL,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id, purpose, created_at);
CREATE INDEX one_time_tokens_expires_at ON one_time_tokens (expires_at);

-- Accounts that were deleted, or removed by the proof of their address. Their sessions and files are not in these
-- tables, so the service removes them, and once more after a minute.
CREATE TABLE removed_users (
    id         text NOT NULL PRIMARY KEY,
    removed_at bigint NOT NULL
);

CREATE INDEX removed_users_removed_at ON removed_users (removed_at);

-- Changes of an address whose two links are not both confirmed yet: see src/accounts/email_change. The links are
-- stored as SHA-256.
CREATE TABLE email_changes (
    user_id       text    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id            text    NOT NULL UNIQUE,
    email         text    NOT NULL, -- the new address
    session_id    text    NOT NULL, -- the session that asked, which does not end with the others
    version       bigint  NOT NULL, -- of the user; if that differs, the change has ended
    new_link      text    UNIQUE,
    old_link      text    UNIQUE,
    new_confirmed boolean NOT NULL DEFAULT FALSE,
    old_confirmed boolean NOT NULL DEFAULT FALSE,
    created_at    bigint  NOT NULL,
    expires_at    bigint  NOT NULL
);

CREATE INDEX email_changes_expires_at ON email_changes (expires_at);

-- === limits ===

-- Consecutive failures with passwords and codes: see src/limits/attempts.rs. `account` is the SHA-256 of what the
-- client called the account, whether or not it exists.
CREATE TABLE login_failures (
    account   text NOT NULL,
    place     text NOT NULL, -- the client address; '' for all unknown addresses together
    failures  bigint NOT NULL,
    failed_at bigint NOT NULL,
    known_at  bigint NOT NULL DEFAULT 0, -- the last success
    forgiven  bigint NOT NULL DEFAULT 0, -- consecutive failures that new passwords have forgiven
    PRIMARY KEY (account, place)
);

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);

-- How much of each quota was used: see src/limits/quotas.rs.
CREATE TABLE quotas (
    name    text NOT NULL PRIMARY KEY, -- the kind, and a digest of who is limited
    used    bigint NOT NULL,
    ends_at bigint NOT NULL -- when the next window may begin
);

CREATE INDEX quotas_ends_at ON quotas (ends_at);

-- === keys ===

-- Random bytes that all processes share: see src/keys/shared.rs. The first process that needs a secret makes it.
CREATE TABLE shared_secrets (
    name   text NOT NULL PRIMARY KEY,
    secret bytea NOT NULL
);

-- === operations ===

-- One row, which /readyz writes to find out whether the database can be written to.
CREATE TABLE writable (
    id         bigint NOT NULL PRIMARY KEY,
    checked_at bigint NOT NULL
);

-- === second-factor ===

-- The second factors of users. A secret is encrypted (SEALING_KEYS), or it is a phone number.
CREATE TABLE second_factors (
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('totp', 'sms', 'passkey')),
    secret     text NOT NULL,
    confirmed  boolean NOT NULL DEFAULT FALSE,
    last_step  bigint NOT NULL DEFAULT 0, -- the last used step of 30 seconds; codes of it and of earlier steps are refused
    created_at bigint NOT NULL,
    -- Counts encryptions with another key, which change nothing that a login depends on.
    resealed   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, kind)
);

-- For finding proposed factors that were not confirmed in time.
CREATE INDEX second_factors_proposed ON second_factors (created_at) WHERE NOT confirmed;

CREATE FUNCTION second_factors_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
    ELSE
        UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER second_factors_added AFTER INSERT ON second_factors
FOR EACH ROW WHEN (NEW.confirmed) EXECUTE FUNCTION second_factors_next_version();

CREATE TRIGGER second_factors_changed AFTER UPDATE OF secret, confirmed ON second_factors
FOR EACH ROW WHEN ((NEW.confirmed OR OLD.confirmed)
    AND (NEW.confirmed <> OLD.confirmed
        OR (NEW.secret <> OLD.secret AND NEW.resealed = OLD.resealed)))
EXECUTE FUNCTION second_factors_next_version();

CREATE TRIGGER second_factors_removed AFTER DELETE ON second_factors
FOR EACH ROW WHEN (OLD.confirmed) EXECUTE FUNCTION second_factors_next_version();

-- The SHA-256 of recovery codes.
CREATE TABLE recovery_codes (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  text NOT NULL,
    PRIMARY KEY (user_id, digest)
);

-- Logins that still need the second factor.
CREATE TABLE login_challenges (
    digest     text NOT NULL PRIMARY KEY,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      text NOT NULL, -- the SHA-256 of the version of the user at that time
    amr        text NOT NULL, -- how the first factor was proved (RFC 8176)
    tries      bigint NOT NULL DEFAULT 0,
    expires_at bigint NOT NULL
);

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);

-- === sms ===

-- The hashes of codes that were sent, and how many were sent.
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

-- === passkeys ===

-- The public keys of passkeys. The private keys are in devices and keychains.
CREATE TABLE passkeys (
    id            text    NOT NULL PRIMARY KEY,
    user_id       text    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id text    NOT NULL UNIQUE, -- the id that the device uses, in base64url
    passkey       text    NOT NULL, -- the key and its counter, in the format of the library
    label         text    NOT NULL,
    is_synced     boolean NOT NULL,
    is_refused    boolean NOT NULL DEFAULT FALSE,
    created_at    bigint  NOT NULL,
    last_used_at  bigint
);

CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- Requests for passkeys that browsers have not answered yet.
CREATE TABLE passkey_ceremonies (
    digest       text   NOT NULL PRIMARY KEY,
    purpose      text   NOT NULL,
    holder       text   NOT NULL, -- a digest of who has asked
    bound_to     text   NOT NULL, -- a digest of what the answer must come with
    user_id      text   REFERENCES users (id) ON DELETE CASCADE,
    user_version bigint NOT NULL,
    state        text   NOT NULL,
    expires_at   bigint NOT NULL
);

CREATE INDEX passkey_ceremonies_holder ON passkey_ceremonies (holder, expires_at);
CREATE INDEX passkey_ceremonies_expires_at ON passkey_ceremonies (expires_at);

CREATE FUNCTION passkeys_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
    ELSE
        UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER passkeys_added AFTER INSERT ON passkeys
FOR EACH ROW EXECUTE FUNCTION passkeys_next_version();

CREATE TRIGGER passkeys_refused AFTER UPDATE OF is_refused ON passkeys
FOR EACH ROW WHEN (NEW.is_refused <> OLD.is_refused) EXECUTE FUNCTION passkeys_next_version();

CREATE TRIGGER passkeys_removed AFTER DELETE ON passkeys
FOR EACH ROW EXECUTE FUNCTION passkeys_next_version();

-- === social-login ===

-- Which login at a provider opens which account. A user has at most one login of each issuer. An unlinked login
-- cannot log in. It is kept so that only its user can link it again.
CREATE TABLE linked_logins (
    issuer      text NOT NULL,
    subject     text NOT NULL,
    user_id     text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    linked_at   bigint NOT NULL,
    used_at     bigint,
    unlinked_at bigint,
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_id, issuer)
);

-- A login with it that is under way fails.
CREATE FUNCTION linked_logins_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER linked_logins_unlinked AFTER UPDATE OF unlinked_at ON linked_logins
FOR EACH ROW WHEN (OLD.unlinked_at IS NULL AND NEW.unlinked_at IS NOT NULL)
EXECUTE FUNCTION linked_logins_next_version();

CREATE TRIGGER linked_logins_removed AFTER DELETE ON linked_logins
FOR EACH ROW WHEN (OLD.unlinked_at IS NULL) EXECUTE FUNCTION linked_logins_next_version();

-- Logins for which a browser was sent to a provider: the SHA-256 of the state, and of the code verifier in a cookie
-- of that browser.
CREATE TABLE provider_logins_begun (
    state      text NOT NULL PRIMARY KEY,
    challenge  text NOT NULL,
    provider   text NOT NULL,
    nonce      text NOT NULL,
    user_id    text REFERENCES users (id) ON DELETE CASCADE, -- the user who wants to link the login
    version    bigint, -- of that user
    expires_at bigint NOT NULL
);

CREATE INDEX provider_logins_begun_user_id ON provider_logins_begun (user_id);
CREATE INDEX provider_logins_begun_expires_at ON provider_logins_begun (expires_at);

-- Logins that a provider has confirmed, until the page asks for the session.
CREATE TABLE provider_logins_proved (
    digest     text NOT NULL PRIMARY KEY,
    provider   text NOT NULL,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version    bigint NOT NULL,
    auth_time  bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX provider_logins_proved_user_id ON provider_logins_proved (user_id);
CREATE INDEX provider_logins_proved_expires_at ON provider_logins_proved (expires_at);
