-- What a login depends on has one version: whoever opens a session compares it with the one that was read
-- before the password was looked at. The triggers see to it that no change is missed, whoever makes it.
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
-- A stronger hash of the same password changes nothing that a login depends on.
ALTER TABLE users ADD COLUMN rehashes INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER users_version
AFTER UPDATE OF email, password_hash, scopes, email_verified, disabled ON users
WHEN NEW.email <> OLD.email OR NEW.scopes <> OLD.scopes
    OR NEW.email_verified <> OLD.email_verified OR NEW.disabled <> OLD.disabled
    OR (NEW.password_hash <> OLD.password_hash AND NEW.rehashes = OLD.rehashes)
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.id;
END;

CREATE TRIGGER second_factors_added AFTER INSERT ON second_factors WHEN NEW.confirmed
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

-- The secret of an app is encrypted anew when the key changes, which is no change of the factor.
CREATE TRIGGER second_factors_changed AFTER UPDATE OF secret, confirmed ON second_factors
WHEN NEW.confirmed <> OLD.confirmed
    OR (NEW.confirmed AND NEW.kind = 'sms' AND NEW.secret <> OLD.secret)
BEGIN
    UPDATE users SET version = version + 1 WHERE id = NEW.user_id;
END;

CREATE TRIGGER second_factors_removed AFTER DELETE ON second_factors WHEN OLD.confirmed
BEGIN
    UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
END;

-- Failures that a new password has forgiven, in a row.
ALTER TABLE login_failures ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;

-- Factors that were proposed, and not confirmed in time.
CREATE INDEX second_factors_proposed ON second_factors (created_at) WHERE NOT confirmed;
