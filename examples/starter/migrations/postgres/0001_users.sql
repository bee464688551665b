-- Who can log in. The password hash names its own algorithm, so old hashes may be imported as
-- they are: see the README.
CREATE TABLE users (
    id            text    NOT NULL PRIMARY KEY,
    email         text    NOT NULL UNIQUE,
    password_hash text    NOT NULL,
    scopes        text    NOT NULL DEFAULT '',
    disabled      boolean NOT NULL DEFAULT FALSE,
    created_at    bigint  NOT NULL DEFAULT floor(extract(epoch FROM now()))
);
