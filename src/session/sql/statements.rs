//! The statements, in the SQL that SQLite and PostgreSQL have in common.
//!
//! `$n` is a parameter in both. No statement reads first and writes later, and none contains
//! a value.

/// The columns, in the order of [`Columns`](super::row::Columns).
macro_rules! columns {
    () => {
        "id, subject, generation, previous_generation, token_id, acknowledged, created_at, \
         rotated_at, last_used_at, idle_ttl, expires_at, ended_at, end_reason, label, payload"
    };
}

/// [`SessionRecord::is_live`](crate::session::SessionRecord::is_live).
macro_rules! is_live {
    ($now:literal) => {
        concat!("ended_at IS NULL AND over_at > ", $now)
    };
}

/// The live sessions of the subject `$2` at `$1`.
macro_rules! live_of_subject {
    () => {
        concat!("subject = $2 AND ", is_live!("$1"))
    };
}

/// The order of a list: the one used last first.
macro_rules! used_last_first {
    () => {
        " ORDER BY last_used_at DESC, id DESC "
    };
}

pub(super) const CREATE: &str = concat!(
    "INSERT INTO jwt_sessions (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
);

/// How many live sessions the subject `$2` has at `$1`.
pub(super) const COUNT: &str = concat!(
    "SELECT count(*) FROM jwt_sessions WHERE ",
    live_of_subject!()
);

/// Ends the live sessions of the subject `$2` at `$1`, but for the `$3` used last; `$4` is why.
/// (A `LIMIT` that never limits: SQLite takes no `OFFSET` without one.)
pub(super) const END_OLDEST: &str = concat!(
    "UPDATE jwt_sessions SET ended_at = $1, end_reason = $4 WHERE id IN (",
    "SELECT id FROM jwt_sessions WHERE ",
    live_of_subject!(),
    used_last_first!(),
    "LIMIT 4294967295 OFFSET $3) AND ",
    is_live!("$1"),
    " RETURNING id"
);

/// The token is of the current generation, or of the next: the session moves on.
macro_rules! advances {
    () => {
        concat!("(", is_live!("$4"), " AND ($2 - generation) IN (0, 1))")
    };
}

/// The token is of the last generation, and nobody may have got the current one yet.
macro_rules! may_be_lost {
    () => {
        concat!(
            "(",
            is_live!("$4"),
            " AND generation = $2 + 1 AND NOT acknowledged AND $4 - rotated_at <= $6)"
        )
    };
}

/// The token is of the last generation, and an honest one.
macro_rules! converges {
    () => {
        concat!(
            "(",
            may_be_lost!(),
            " OR (",
            is_live!("$4"),
            " AND generation = $2 + 1 AND $4 - last_used_at <= $5))"
        )
    };
}

/// The token is older than that: the session ends.
macro_rules! is_reuse {
    () => {
        concat!(
            "(",
            is_live!("$4"),
            " AND generation > $2 AND NOT ",
            converges!(),
            ")"
        )
    };
}

/// [`Rotation::apply`](crate::session::Rotation::apply), on the row as it is when it is locked:
/// session `$1`, generation `$2`, token id `$3`, now `$4`, grace `$5`, lost response `$6`.
///
/// All expressions see the row as it was before. There is no sub-select, as PostgreSQL
/// would not evaluate it again after waiting for another rotation of the row.
pub(super) const ROTATE: &str = concat!(
    "UPDATE jwt_sessions SET ",
    "previous_generation = CASE WHEN ",
    advances!(),
    " THEN generation ELSE previous_generation END, generation = CASE WHEN ",
    advances!(),
    " THEN $2 + 1 ELSE generation END, token_id = CASE WHEN ",
    advances!(),
    " THEN $3 ELSE token_id END, acknowledged = acknowledged AND NOT ",
    advances!(),
    ", rotated_at = CASE WHEN ",
    advances!(),
    " THEN $4 ELSE rotated_at END, last_used_at = CASE WHEN ",
    advances!(),
    " OR ",
    may_be_lost!(),
    " THEN $4 ELSE last_used_at END, ended_at = CASE WHEN ",
    is_reuse!(),
    " THEN $4 ELSE ended_at END, end_reason = CASE WHEN ",
    is_reuse!(),
    " THEN 'reuse_detected' ELSE end_reason END WHERE id = $1 RETURNING ",
    columns!()
);

/// Session `$1`, generation `$2`.
pub(super) const ACKNOWLEDGE: &str = "UPDATE jwt_sessions SET acknowledged = TRUE \
     WHERE id = $1 AND generation = $2 AND NOT acknowledged";

/// The live sessions of the subject `$2` at `$1`.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM jwt_sessions WHERE ",
    live_of_subject!(),
    used_last_first!(),
    "LIMIT 1000"
);

/// Ends at `$1` the live sessions to which the condition applies; `$3` is why.
macro_rules! end_where {
    ($condition:expr) => {
        concat!(
            "UPDATE jwt_sessions SET ended_at = $1, end_reason = $3 WHERE ",
            $condition,
            " AND ",
            is_live!("$1"),
            " RETURNING id"
        )
    };
}

pub(super) const END_SESSION: &str = end_where!("id = $2");
pub(super) const END_SESSION_OF: &str = end_where!("subject = $2 AND id = $4");
pub(super) const END_OTHERS_OF: &str = end_where!("subject = $2 AND id <> $4");
pub(super) const END_SUBJECT: &str = end_where!("subject = $2");

/// At most `$2` sessions that were over before `$1`, or of no use from then on.
macro_rules! over {
    () => {
        "SELECT id FROM jwt_sessions WHERE over_at <= $1 \
         AND (ended_at IS NULL OR ended_at < $1) ORDER BY over_at LIMIT $2"
    };
}

#[cfg(feature = "sqlite")]
pub(super) const CLEAN_UP_SQLITE: &str =
    concat!("DELETE FROM jwt_sessions WHERE id IN (", over!(), ")");

/// Several nodes may clean up at once: each leaves the rows that another has taken. A session
/// that is used meanwhile is locked with its newest columns, and looked at again.
#[cfg(feature = "postgres")]
pub(super) const CLEAN_UP_POSTGRES: &str = concat!(
    "WITH over AS MATERIALIZED (",
    over!(),
    " FOR UPDATE SKIP LOCKED) DELETE FROM jwt_sessions USING over WHERE jwt_sessions.id = over.id"
);

#[cfg(test)]
mod tests {
    use crate::session::EndReason;

    #[test]
    fn the_reason_in_the_statement_is_the_one_that_is_read() {
        let reason = format!("'{}'", EndReason::ReuseDetected);
        assert!(super::ROTATE.contains(&reason));
    }
}
