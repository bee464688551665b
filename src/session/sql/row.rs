//! A row of `jwt_sessions`, and the record that it holds.

use crate::session::{EndReason, SessionRecord};
use crate::sql::number;
use crate::store::StoreError;

/// The columns, in the order of the statements.
pub(super) type Columns = (
    String,         // id
    String,         // subject
    i64,            // generation
    i64,            // previous_generation
    String,         // token_id
    bool,           // acknowledged
    i64,            // created_at
    i64,            // rotated_at
    i64,            // last_used_at
    i64,            // idle_ttl
    i64,            // expires_at
    Option<i64>,    // ended_at
    Option<String>, // end_reason
    Option<String>, // label
    String,         // payload
);

pub(super) fn record(columns: Columns) -> Result<SessionRecord, StoreError> {
    let reason = |name: String| name.parse::<EndReason>().map_err(StoreError::new);
    Ok(SessionRecord {
        id: columns.0,
        subject: columns.1,
        generation: number(columns.2)?,
        previous_generation: number(columns.3)?,
        token_id: columns.4,
        acknowledged: columns.5,
        created_at: number(columns.6)?,
        rotated_at: number(columns.7)?,
        last_used_at: number(columns.8)?,
        idle_ttl: number(columns.9)?,
        expires_at: number(columns.10)?,
        ended_at: columns.11.map(number).transpose()?,
        end_reason: columns.12.map(reason).transpose()?,
        label: columns.13,
        payload: columns.14,
    })
}
