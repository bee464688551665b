-- Refresh sessions of tower-jwt-auth, for SQLite 3.37 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_sessions (
    id                  TEXT    NOT NULL PRIMARY KEY,
    subject             TEXT    NOT NULL,
    generation          INTEGER NOT NULL,
    previous_generation INTEGER NOT NULL,
    token_id            TEXT    NOT NULL,
    -- The latest generation that was seen in use; null if none ever was.
    acknowledged        INTEGER,
    created_at          INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    idle_ttl            INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    ended_at            INTEGER,
    end_reason          TEXT,
    -- A digest of the mark of the client that made the last rotation.
    client              TEXT,
    -- The thumbprint (RFC 7638) of the key that the session is bound to; null if it is not bound.
    key_thumbprint      TEXT,
    -- How the current generation has converged: 0 not at all, 1 concurrent, 2 lost response.
    converged           INTEGER NOT NULL,
    -- Generations in a row, up to the current one, that converged, or lost a response.
    convergences        INTEGER NOT NULL,
    lost_responses      INTEGER NOT NULL,
    label               TEXT,
    payload             TEXT    NOT NULL,
    -- When it ended, or else will be over unless it is used. A sum that cannot overflow.
    over_at             INTEGER NOT NULL GENERATED ALWAYS AS (
        CASE WHEN ended_at IS NULL
            THEN last_used_at + min(idle_ttl, expires_at - last_used_at)
            ELSE ended_at
        END
    ) STORED
) STRICT;

-- To list, count and end the sessions of a subject, and to find those that ended a short while ago.
CREATE INDEX IF NOT EXISTS jwt_sessions_subject ON jwt_sessions (subject);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_sessions_over_at ON jwt_sessions (over_at);
