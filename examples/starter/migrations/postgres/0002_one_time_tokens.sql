-- Links that are sent to users: SHA-256 of what is in the link, and what the link is bound to.
CREATE TABLE one_time_tokens (
    digest     text   NOT NULL PRIMARY KEY,
    purpose    text   NOT NULL,
    user_id    text   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      text   NOT NULL,
    created_at bigint NOT NULL, -- seconds since 1970
    expires_at bigint NOT NULL
);

CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id, purpose, created_at);
CREATE INDEX one_time_tokens_expires_at ON one_time_tokens (expires_at);

-- Whether a message to the address has been answered.
ALTER TABLE users ADD COLUMN email_verified boolean NOT NULL DEFAULT FALSE;
