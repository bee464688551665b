-- Refresh sessions of tower-jwt-auth, for PostgreSQL 12 or later.
-- All times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS jwt_sessions (
    -- Compared by their bytes, whatever the collation of the database.
    id                  text COLLATE "C" NOT NULL PRIMARY KEY,
    subject             text COLLATE "C" NOT NULL,
    generation          bigint NOT NULL,
    previous_generation bigint NOT NULL,
    token_id            text   NOT NULL,
    -- The latest generation that was seen in use; null if none ever was.
    acknowledged        bigint,
    created_at          bigint NOT NULL,
    rotated_at          bigint NOT NULL,
    last_used_at        bigint NOT NULL,
    idle_ttl            bigint NOT NULL,
    expires_at          bigint NOT NULL,
    ended_at            bigint,
    end_reason          text,
    -- A digest of the mark of the client that made the last rotation.
    client              text COLLATE "C",
    -- The thumbprint (RFC 7638) of the key that the session is bound to; null if it is not bound.
    key_thumbprint      text,
    -- How the current generation has converged: 0 not at all, 1 concurrent, 2 lost response.
    converged           bigint NOT NULL,
    -- Generations in a row, up to the current one, that converged, or lost a response.
    convergences        bigint NOT NULL,
    lost_responses      bigint NOT NULL,
    label               text,
    payload             text   NOT NULL,
    -- When it ended, or else will be over unless it is used. A sum that cannot overflow.
    over_at             bigint NOT NULL GENERATED ALWAYS AS (
        CASE WHEN ended_at IS NULL
            THEN last_used_at + least(idle_ttl, expires_at - last_used_at)
            ELSE ended_at
        END
    ) STORED
);

-- To list, count and end the sessions of a subject, and to find those that ended a short while
-- ago. A hash index takes subjects of any length.
CREATE INDEX IF NOT EXISTS jwt_sessions_subject ON jwt_sessions USING hash (subject);

-- To clean up.
CREATE INDEX IF NOT EXISTS jwt_sessions_over_at ON jwt_sessions (over_at);
