//! Writing a session as the fields of a hash, and reading it back.

use std::collections::HashMap;
use std::str::FromStr;

use crate::session::{Converged, SessionRecord};
use crate::store::StoreError;

pub(super) type Row = HashMap<String, String>;

/// Writes a session as fields. An absent field stands for `None`.
pub(super) fn to_row(record: &SessionRecord) -> Vec<(&'static str, String)> {
    let mut row = vec![
        ("sub", record.subject.clone()),
        ("gen", record.generation.to_string()),
        ("prev", record.previous_generation.to_string()),
        ("tid", record.token_id.clone()),
        ("created", record.created_at.to_string()),
        ("rotated", record.rotated_at.to_string()),
        ("used", record.last_used_at.to_string()),
        ("idle", record.idle_ttl.to_string()),
        ("exp", record.expires_at.to_string()),
        ("conv", Converged::number(record.converged).to_string()),
        ("run", record.convergences.to_string()),
        ("lost", record.lost_responses.to_string()),
        ("payload", record.payload.clone()),
    ];
    if let Some(generation) = record.acknowledged {
        row.push(("ack", generation.to_string()));
    }
    if let Some(client) = &record.client {
        row.push(("client", client.clone()));
    }
    if let Some(thumbprint) = &record.key_thumbprint {
        row.push(("jkt", thumbprint.clone()));
    }
    if let Some(at) = record.ended_at {
        row.push(("ended", at.to_string()));
    }
    if let Some(reason) = record.end_reason {
        row.push(("reason", reason.as_str().to_owned()));
    }
    if let Some(label) = &record.label {
        row.push(("label", label.clone()));
    }
    row
}

/// Reads a session from fields. Returns `None` if there are no fields, which is the reply of Redis
/// for a key that does not exist.
pub(super) fn from_row(id: &str, mut row: Row) -> Result<Option<SessionRecord>, StoreError> {
    if row.is_empty() {
        return Ok(None);
    }
    let mut record = SessionRecord {
        generation: number(&row, "gen")?,
        previous_generation: number(&row, "prev")?,
        acknowledged: optional(&row, "ack")?,
        created_at: number(&row, "created")?,
        rotated_at: number(&row, "rotated")?,
        last_used_at: number(&row, "used")?,
        idle_ttl: number(&row, "idle")?,
        expires_at: number(&row, "exp")?,
        ended_at: optional(&row, "ended")?,
        // A reason of a later version is read as no reason: only `ended_at` matters.
        end_reason: row.get("reason").and_then(|name| name.parse().ok()),
        converged: Converged::from_number(number(&row, "conv")?),
        convergences: number(&row, "run")?,
        lost_responses: number(&row, "lost")?,
        ..SessionRecord::new(id, "", 0)
    };
    record.client = row.remove("client");
    record.key_thumbprint = row.remove("jkt");
    record.label = row.remove("label");
    record.subject = row.remove("sub").ok_or_else(|| damaged("sub"))?;
    record.token_id = row.remove("tid").ok_or_else(|| damaged("tid"))?;
    record.payload = row.remove("payload").ok_or_else(|| damaged("payload"))?;
    Ok(Some(record))
}

fn number<T: FromStr>(row: &Row, field: &'static str) -> Result<T, StoreError> {
    let number = row.get(field).and_then(|text| text.parse().ok());
    number.ok_or_else(|| damaged(field))
}

fn optional(row: &Row, field: &'static str) -> Result<Option<u64>, StoreError> {
    row.contains_key(field)
        .then(|| number(row, field))
        .transpose()
}

fn damaged(field: &'static str) -> StoreError {
    StoreError::new(format!(
        "the field `{field}` of a session in Redis is missing or malformed"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Row, from_row, to_row};
    use crate::session::{Converged, EndReason, SessionRecord};

    fn record() -> SessionRecord {
        let mut record = SessionRecord::new("s", "alice", 1_700_000_000_000_001);
        record.generation = 7;
        record.previous_generation = 6;
        record.token_id = "t".into();
        record.acknowledged = Some(7);
        record.client = Some("a client".into());
        record.key_thumbprint = Some("a key".into());
        record.converged = Some(Converged::LostResponse);
        record.convergences = u32::MAX;
        record.lost_responses = 3;
        record.idle_ttl = u64::MAX;
        record.label = Some(String::new());
        record
    }

    fn row(record: &SessionRecord) -> Row {
        let row = to_row(record).into_iter();
        row.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let mut record = record();
        assert_eq!(from_row("s", row(&record)).unwrap().as_ref(), Some(&record));
        record.label = None;
        record.acknowledged = None;
        record.client = None;
        record.key_thumbprint = None;
        record.ended_at = Some(3);
        record.end_reason = Some(EndReason::Replaced);
        assert_eq!(from_row("s", row(&record)).unwrap().as_ref(), Some(&record));
        assert_eq!(from_row("s", Row::new()).unwrap(), None);
    }

    #[test]
    fn a_damaged_row_is_an_error_and_not_an_unknown_session() {
        let optional = ["label", "ack", "client", "jkt"];
        for field in row(&record()).into_keys() {
            if optional.contains(&field.as_str()) {
                continue;
            }
            let mut without = row(&record());
            without.remove(&field);
            assert!(from_row("s", without).is_err(), "without {field}");
        }
        for field in ["gen", "used", "ack", "conv", "run", "ended"] {
            let mut bad = row(&record());
            bad.insert(field.into(), "1e3".into());
            assert!(from_row("s", bad).is_err(), "{field}");
        }
    }
}
