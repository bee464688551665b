-- The tables of the service, besides those that the crate makes for sessions and revocations. Times are
-- seconds since 1970. A section whose heading names an optional chapter goes with that chapter.

-- === accounts ===

-- Who can log in.
CREATE TABLE users (
    id             text NOT NULL PRIMARY KEY,
    email          text NOT NULL UNIQUE,
    password_hash  text NOT NULL, -- it names its algorithm: old hashes may be imported as they are
    scopes         text NOT NULL DEFAULT '',
    email_verified boolean NOT NULL DEFAULT FALSE, -- whether the owner of the address has proved that it is theirs
    disabled       boolean NOT NULL DEFAULT FALSE,
    created_at     bigint NOT NULL DEFAULT floor(extract(epoch FROM now())),
    -- What a login depends on has one version: whoever opens a session compares it with the one that was
    -- read before the password was looked at. Triggers see to it that no change is missed.
    version        bigint NOT NULL DEFAULT 0,
    -- A stronger hash of the same password changes nothing that a login depends on.
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

-- Addresses that somebody has named and not proved yet. Each row is made by one registration, or by one
-- request for a new password at an address without a proved account, and has links of its own.
CREATE TABLE registrations (
    id            text NOT NULL PRIMARY KEY,
    email         text NOT NULL,
    purpose       text NOT NULL CHECK (purpose IN ('register', 'reset')),
    password_hash text, -- chosen with the registration; a reset chooses it with the link
    user_id       text REFERENCES users (id) ON DELETE CASCADE, -- the account that it has made
    created_at    bigint NOT NULL,
    expires_at    bigint NOT NULL
);

CREATE INDEX registrations_email ON registrations (email, purpose, created_at);
CREATE INDEX registrations_user_id ON registrations (user_id);
CREATE INDEX registrations_expires_at ON registrations (expires_at);

-- SHA-256 of what is in the links. They are good for as long as the registration is.
CREATE TABLE registration_links (
    digest          text NOT NULL PRIMARY KEY,
    registration_id text NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
    created_at      bigint NOT NULL
);

CREATE INDEX registration_links_registration_id ON registration_links (registration_id, created_at);

-- Links to users whose address is proved: SHA-256 of what is in the link, and what the link is bound to.
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

-- Accounts that a proof of their address has removed. Their sessions and files are not in these tables, so
-- they are removed by the service, once more after a while.
CREATE TABLE removed_users (
    id         text NOT NULL PRIMARY KEY,
    removed_at bigint NOT NULL
);

CREATE INDEX removed_users_removed_at ON removed_users (removed_at);

-- Changes of an address that wait for a link in an email to each address to be confirmed: see
-- src/accounts/email_change. Of the links there is the SHA-256.
CREATE TABLE email_changes (
    user_id       text    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id            text    NOT NULL UNIQUE,
    email         text    NOT NULL, -- the new one
    session_id    text    NOT NULL, -- goes on when the others end
    version       bigint  NOT NULL, -- of the user; with another one, the change is over
    new_link      text    UNIQUE,
    old_link      text    UNIQUE,
    new_confirmed boolean NOT NULL DEFAULT FALSE,
    old_confirmed boolean NOT NULL DEFAULT FALSE,
    created_at    bigint  NOT NULL,
    expires_at    bigint  NOT NULL
);

CREATE INDEX email_changes_expires_at ON email_changes (expires_at);

-- === limits ===

-- Passwords and codes that were tried in vain, in a row: see src/limits/attempts.rs. An account is the
-- SHA-256 of what the client called it, whether or not it exists.
CREATE TABLE login_failures (
    account   text NOT NULL,
    place     text NOT NULL, -- the address of the client; '' for all that are not known
    failures  bigint NOT NULL,
    failed_at bigint NOT NULL,
    known_at  bigint NOT NULL DEFAULT 0, -- the last success
    forgiven  bigint NOT NULL DEFAULT 0, -- failures that a new password has forgiven, in a row
    PRIMARY KEY (account, place)
);

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);

-- How much was taken of what is limited: see src/limits/quotas.rs.
CREATE TABLE quotas (
    name    text NOT NULL PRIMARY KEY, -- the kind, and a digest of whose it is
    used    bigint NOT NULL,
    ends_at bigint NOT NULL -- when the next window may begin
);

CREATE INDEX quotas_ends_at ON quotas (ends_at);

-- === operations ===

-- One row that is written to find out whether the database can be written to.
CREATE TABLE writable (
    id         bigint NOT NULL PRIMARY KEY,
    checked_at bigint NOT NULL
);

-- === second-factor ===

-- What a user shows beside the password. A secret is encrypted (SEALING_KEYS), or a phone number.
CREATE TABLE second_factors (
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('totp', 'sms', 'passkey')),
    secret     text NOT NULL,
    confirmed  boolean NOT NULL DEFAULT FALSE,
    last_step  bigint NOT NULL DEFAULT 0, -- of 30 seconds; no code of it, or before it, is good again
    created_at bigint NOT NULL,
    -- The same secret, encrypted with another key, changes nothing that a login depends on.
    resealed   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, kind)
);

-- Factors that were proposed, and not confirmed in time.
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

-- SHA-256 of codes that are on paper.
CREATE TABLE recovery_codes (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  text NOT NULL,
    PRIMARY KEY (user_id, digest)
);

-- Logins that still have to show a code.
CREATE TABLE login_challenges (
    digest     text NOT NULL PRIMARY KEY,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      text NOT NULL, -- SHA-256 of the version of the user at that time
    amr        text NOT NULL, -- what the first factor was (RFC 8176)
    tries      bigint NOT NULL DEFAULT 0,
    expires_at bigint NOT NULL
);

CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);

-- === sms ===

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

-- === passkeys ===

-- Public keys, whose other halves are in devices and keychains.
CREATE TABLE passkeys (
    id            text    NOT NULL PRIMARY KEY,
    user_id       text    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id text    NOT NULL UNIQUE, -- what the device calls it, in base64url
    passkey       text    NOT NULL, -- the key and its counter, as the library writes them
    label         text    NOT NULL,
    is_synced     boolean NOT NULL,
    is_refused    boolean NOT NULL DEFAULT FALSE,
    created_at    bigint  NOT NULL,
    last_used_at  bigint
);

CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- What browsers were asked, and have not answered yet.
CREATE TABLE passkey_ceremonies (
    digest       text   NOT NULL PRIMARY KEY,
    purpose      text   NOT NULL,
    holder       text   NOT NULL, -- a digest of whose question it is
    bound_to     text   NOT NULL, -- a digest of what the answer has to come with
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

-- Which login at a provider opens which account. A user has one login of each issuer. One that was unlinked logs
-- nobody in, and is kept so that only its user can link it again.
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

-- A login that is under way with it ends.
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

-- Logins for which a browser was sent to a provider: SHA-256 of the state, and of the code verifier that is in a
-- cookie of that browser.
CREATE TABLE provider_logins_begun (
    state      text NOT NULL PRIMARY KEY,
    challenge  text NOT NULL,
    provider   text NOT NULL,
    nonce      text NOT NULL,
    user_id    text REFERENCES users (id) ON DELETE CASCADE, -- who wants to link the login
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
