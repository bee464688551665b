-- Passwords that were tried in vain, in a row: see src/attempts/mod.rs. An account is the SHA-256 of
-- what the client called it, whether or not it exists.
CREATE TABLE login_failures (
    account   TEXT NOT NULL,
    place     TEXT NOT NULL, -- the address of the client; '' for all that are not known
    failures  INTEGER NOT NULL,
    failed_at INTEGER NOT NULL, -- seconds since 1970
    known_at  INTEGER NOT NULL DEFAULT 0, -- the last success
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);
