-- How much was taken of what is limited: see src/quotas.rs.
CREATE TABLE quotas (
    name    TEXT NOT NULL PRIMARY KEY, -- the kind, and a digest of whose it is
    used    INTEGER NOT NULL,
    ends_at INTEGER NOT NULL -- seconds since 1970, when the next window may begin
) STRICT, WITHOUT ROWID;

CREATE INDEX quotas_ends_at ON quotas (ends_at);

-- One row that is written to find out whether the database can be written to.
CREATE TABLE writable (
    id         INTEGER NOT NULL PRIMARY KEY,
    checked_at INTEGER NOT NULL
) STRICT;
