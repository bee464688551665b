-- Refresh tokens that were traded in. Who inserts the row may have the next pair; nobody else.
CREATE TABLE used_refresh_tokens (
    jti   TEXT PRIMARY KEY,
    until INTEGER NOT NULL -- seconds since 1970, when the row may be forgotten
) STRICT, WITHOUT ROWID;

CREATE INDEX used_refresh_tokens_until ON used_refresh_tokens (until);
