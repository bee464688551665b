//! The statements, in the SQL that SQLite and PostgreSQL have in common.
//!
//! `$n` is a parameter in both. No statement contains a value from outside: each is put together
//! once, from the texts in this file alone.

use std::sync::LazyLock;

use crate::session::{Converged, EndReason};

/// A statement, put together when it is first used.
pub(super) type Statement = LazyLock<String>;

/// The columns of a record.
const COLUMNS: &str = "id, subject, generation, previous_generation, token_id, acknowledged, \
     created_at, rotated_at, last_used_at, idle_ttl, expires_at, ended_at, end_reason, client, \
     key_thumbprint, converged, convergences, lost_responses, label, payload";

/// The order of a list: most recently used first.
const USED_LAST_FIRST: &str = "ORDER BY last_used_at DESC, id DESC";

/// The live sessions of the subject `$2` at `$1`.
const LIVE_OF_SUBJECT: &str = "subject = $2 AND ended_at IS NULL AND over_at > $1";

/// At most `$2` sessions that were ended before `$1`, or have expired or become idle by then.
const OVER: &str = "SELECT id FROM jwt_sessions WHERE over_at <= $1 \
     AND (ended_at IS NULL OR ended_at < $1) ORDER BY over_at LIMIT $2";

/// Stores a session, whose columns are the parameters.
pub(super) static CREATE: Statement = LazyLock::new(|| {
    let count = COLUMNS.split(", ").count();
    let values: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
    let values = values.join(", ");
    format!("INSERT INTO jwt_sessions ({COLUMNS}) VALUES ({values})")
});

/// Counts the live sessions of the subject `$2` at `$1`.
pub(super) static COUNT: Statement =
    LazyLock::new(|| format!("SELECT count(*) FROM jwt_sessions WHERE {LIVE_OF_SUBJECT}"));

/// Ends the live sessions of the subject `$2` at `$1`, except the `$3` most recently used ones. `$4`
/// is the reason. (The `LIMIT` is never reached, but SQLite requires one with `OFFSET`.)
pub(super) static END_OLDEST: Statement = LazyLock::new(|| {
    format!(
        "UPDATE jwt_sessions SET ended_at = $1, end_reason = $4 \
         WHERE id IN (SELECT id FROM jwt_sessions WHERE {LIVE_OF_SUBJECT} \
             {USED_LAST_FIRST} LIMIT 4294967295 OFFSET $3) \
         AND ended_at IS NULL AND over_at > $1 RETURNING id, subject, ended_at"
    )
});

/// Lists the live sessions of the subject `$2` at `$1`.
pub(super) static LIST: Statement = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM jwt_sessions WHERE {LIVE_OF_SUBJECT} {USED_LAST_FIRST} LIMIT 1000"
    )
});

/// Carries out [`Rotation::apply`](crate::session::Rotation::apply) on the row as it is when it is
/// locked: session `$1`, generation `$2`, token id `$3`, now `$4`, grace `$5`, lost response `$6`,
/// largest number of lost responses `$7`, client `$8`.
///
/// All expressions see the row as it was before. There is no sub-select, because PostgreSQL would
/// not evaluate it again after waiting for another rotation of the row.
pub(super) static ROTATE: Statement = LazyLock::new(|| {
    const NOTHING: u8 = 0;
    const ADVANCE: u8 = 1;
    const CONCURRENT: u8 = 2;
    const LOST: u8 = 3;
    const REUSE: u8 = 4;
    let lost_response = Converged::number(Some(Converged::LostResponse));
    let reuse_detected = EndReason::ReuseDetected;

    let is_acknowledged = "coalesce(acknowledged = generation, FALSE)";
    let is_first = "CASE WHEN converged = 0 THEN 1 ELSE 0 END";
    let is_first_lost = format!("CASE WHEN converged >= {lost_response} THEN 0 ELSE 1 END");
    let may_be_lost =
        format!("NOT {is_acknowledged} AND (acknowledged IS NOT NULL OR $4 - rotated_at <= $6)");
    // The arms of `Rotation::step` and `Rotation::previous_generation`, in their order.
    let step = format!(
        "CASE \
         WHEN ended_at IS NOT NULL OR over_at <= $4 THEN {NOTHING} \
         WHEN $2 - generation IN (0, 1) THEN {ADVANCE} \
         WHEN $2 > generation THEN {NOTHING} \
         WHEN generation - $2 > 1 AND $4 < rotated_at THEN {NOTHING} \
         WHEN generation - $2 > 1 THEN {REUSE} \
         WHEN coalesce(client <> $8, client IS NOT NULL) THEN {REUSE} \
         WHEN $4 - rotated_at <= $5 THEN {CONCURRENT} \
         WHEN {may_be_lost} AND lost_responses + {is_first_lost} < $7 THEN {LOST} \
         WHEN {may_be_lost} THEN {REUSE} \
         WHEN $4 - last_used_at <= $5 THEN {CONCURRENT} \
         ELSE {REUSE} END"
    );
    let on_advance = |column: &str, value: &str| {
        format!("{column} = CASE WHEN {step} = {ADVANCE} THEN {value} ELSE {column} END")
    };
    let on_reuse = |column: &str, value: &str| {
        format!("{column} = CASE WHEN {step} = {REUSE} THEN {value} ELSE {column} END")
    };
    let columns = [
        on_advance("previous_generation", "generation"),
        on_advance("generation", "$2 + 1"),
        on_advance("token_id", "$3"),
        on_advance("rotated_at", "$4"),
        on_advance("client", "$8"),
        format!(
            "last_used_at = CASE \
             WHEN {step} = {ADVANCE} THEN $4 \
             WHEN {step} IN ({CONCURRENT}, {LOST}) AND NOT {is_acknowledged} \
                 AND last_used_at < $4 THEN $4 \
             ELSE last_used_at END"
        ),
        format!(
            "converged = CASE {step} WHEN {ADVANCE} THEN 0 \
             WHEN {CONCURRENT} THEN CASE WHEN converged = 0 THEN 1 ELSE converged END \
             WHEN {LOST} THEN {lost_response} ELSE converged END"
        ),
        format!(
            "convergences = CASE {step} \
             WHEN {ADVANCE} THEN CASE WHEN converged = 0 THEN 0 ELSE convergences END \
             WHEN {CONCURRENT} THEN convergences + {is_first} \
             WHEN {LOST} THEN convergences + {is_first} ELSE convergences END"
        ),
        format!(
            "lost_responses = CASE {step} \
             WHEN {ADVANCE} THEN CASE WHEN converged >= {lost_response} THEN lost_responses \
                 ELSE 0 END \
             WHEN {LOST} THEN lost_responses + {is_first_lost} ELSE lost_responses END"
        ),
        on_reuse("ended_at", "$4"),
        on_reuse("end_reason", &format!("'{reuse_detected}'")),
    ];
    let columns = columns.join(", ");
    format!("UPDATE jwt_sessions SET {columns} WHERE id = $1 RETURNING {COLUMNS}")
});

/// Acknowledges the generation `$2` of the session `$1`, unless it already was.
pub(super) const ACKNOWLEDGE: &str = "UPDATE jwt_sessions SET acknowledged = $2 \
     WHERE id = $1 AND generation = $2 AND coalesce(acknowledged <> $2, TRUE)";

pub(super) static END_SESSION: Statement = LazyLock::new(|| end_where("id = $2"));
pub(super) static END_SESSION_OF: Statement =
    LazyLock::new(|| end_where("subject = $2 AND id = $6"));
pub(super) static END_OTHERS_OF: Statement =
    LazyLock::new(|| end_where("subject = $2 AND id <> $6"));
pub(super) static END_SUBJECT: Statement = LazyLock::new(|| end_where("subject = $2"));

/// Ends at `$1` the sessions to which the condition applies and that have not been ended. `$3` is
/// the reason. Returns them, and those that were ended at or after `$4`: at most `$5`, those first
/// that had not been ended.
fn end_where(condition: &str) -> String {
    let is_named = "(ended_at IS NULL OR ended_at >= $4)";
    format!(
        "UPDATE jwt_sessions SET ended_at = coalesce(ended_at, $1), \
         end_reason = coalesce(end_reason, $3) \
         WHERE id IN (SELECT id FROM jwt_sessions WHERE {condition} AND {is_named} \
             ORDER BY ended_at NULLS FIRST, id LIMIT $5) AND {is_named} \
         RETURNING id, subject, ended_at"
    )
}

#[cfg(feature = "sqlite")]
pub(super) static CLEAN_UP_SQLITE: Statement =
    LazyLock::new(|| format!("DELETE FROM jwt_sessions WHERE id IN ({OVER})"));

/// Removes sessions. Several nodes may clean up at once: each skips the rows that another has
/// locked. A session that is used in the meantime is checked again with its newest columns. A node whose
/// clock is far ahead removes no session that is still open by the clock of the server, or would be in a day.
#[cfg(feature = "postgres")]
pub(super) static CLEAN_UP_POSTGRES: Statement = LazyLock::new(|| {
    let before = "LEAST($1, (extract(epoch FROM now() + interval '1 day') * 1000000)::bigint)";
    let over = OVER.replace("$1", before);
    format!(
        "WITH over AS MATERIALIZED ({over} FOR UPDATE SKIP LOCKED) \
         DELETE FROM jwt_sessions USING over WHERE jwt_sessions.id = over.id"
    )
});
