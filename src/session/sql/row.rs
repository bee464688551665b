//! Reading rows of `jwt_sessions` as records.

use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::session::{Converged, EndReason, EndedSession, SessionRecord};
use crate::sql::{get, number, optional};
use crate::store::StoreError;

/// Reads the record from a row, whose columns are found by their names.
pub(super) fn record<'r, R>(row: &'r R) -> Result<SessionRecord, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let reason = |name: String| name.parse::<EndReason>().map_err(StoreError::new);
    Ok(SessionRecord {
        id: get(row, "id")?,
        subject: get(row, "subject")?,
        generation: number(get(row, "generation")?)?,
        previous_generation: number(get(row, "previous_generation")?)?,
        token_id: get(row, "token_id")?,
        acknowledged: get(row, "acknowledged").and_then(optional)?,
        created_at: number(get(row, "created_at")?)?,
        rotated_at: number(get(row, "rotated_at")?)?,
        last_used_at: number(get(row, "last_used_at")?)?,
        idle_ttl: number(get(row, "idle_ttl")?)?,
        expires_at: number(get(row, "expires_at")?)?,
        ended_at: get(row, "ended_at").and_then(optional)?,
        end_reason: get::<_, Option<String>>(row, "end_reason")?
            .map(reason)
            .transpose()?,
        client: get(row, "client")?,
        key_thumbprint: get(row, "key_thumbprint")?,
        converged: converged(get(row, "converged")?)?,
        convergences: count(get(row, "convergences")?)?,
        lost_responses: count(get(row, "lost_responses")?)?,
        label: get(row, "label")?,
        payload: get(row, "payload")?,
    })
}

/// Reads an ended session: its id, its subject, and the time of its end.
pub(super) fn ended(
    (id, subject, ended_at): (String, String, i64),
) -> Result<EndedSession, StoreError> {
    Ok(EndedSession::new(id, subject, number(ended_at)?))
}

/// Reads the length of a run. A length beyond `u32::MAX` counts as `u32::MAX`.
fn count(column: i64) -> Result<u32, StoreError> {
    Ok(u32::try_from(number(column)?).unwrap_or(u32::MAX))
}

fn converged(column: i64) -> Result<Option<Converged>, StoreError> {
    let number = u8::try_from(number(column)?).unwrap_or(u8::MAX);
    Ok(Converged::from_number(number))
}
