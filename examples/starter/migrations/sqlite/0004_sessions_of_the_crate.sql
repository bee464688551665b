-- Sessions and revocations are the crate's from here on: `jwt_sessions` and `jwt_revocations`,
-- which it has made by now. Logouts stay known; who was logged in logs in once more.
INSERT INTO jwt_revocations (id, kind, issuer, cutoff, until)
    SELECT id, kind, issuer,
        CASE kind WHEN 'subject' THEN cutoff ELSE 9223372036854775807 END, -- hits all of them
        until * 1000000
    FROM revocations
    WHERE true -- so that ON belongs to the INSERT, and not to a join
    ON CONFLICT DO NOTHING;

DROP TABLE revocations;
DROP TABLE used_refresh_tokens;
