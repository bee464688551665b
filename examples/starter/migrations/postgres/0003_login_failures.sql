-- Passwords that were tried in vain, in a row: see src/attempts/mod.rs. An account is the SHA-256 of
-- what the client called it, whether or not it exists.
CREATE TABLE login_failures (
    account   text NOT NULL,
    place     text NOT NULL, -- the address of the client; '' for all that are not known
    failures  bigint NOT NULL,
    failed_at bigint NOT NULL, -- seconds since 1970
    known_at  bigint NOT NULL DEFAULT 0, -- the last success
    PRIMARY KEY (account, place)
);

CREATE INDEX login_failures_failed_at ON login_failures (failed_at);
