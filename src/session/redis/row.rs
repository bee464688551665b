//! A session as the fields of a hash, and back.

use std::collections::HashMap;

use crate::session::SessionRecord;
use crate::store::StoreError;

pub(super) type Row = HashMap<String, String>;

/// The fields of a session that has not ended, or has.
pub(super) fn to_row(record: &SessionRecord) -> Vec<(&'static str, String)> {
    let mut row = vec![
        ("sub", record.subject.clone()),
        ("gen", record.generation.to_string()),
        ("prev", record.previous_generation.to_string()),
        ("tid", record.token_id.clone()),
        ("ack", u8::from(record.acknowledged).to_string()),
        ("created", record.created_at.to_string()),
        ("rotated", record.rotated_at.to_string()),
        ("used", record.last_used_at.to_string()),
        ("idle", record.idle_ttl.to_string()),
        ("exp", record.expires_at.to_string()),
        ("payload", record.payload.clone()),
    ];
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

/// The session of a hash; none of an empty one, which Redis does not tell from none.
pub(super) fn from_row(id: &str, mut row: Row) -> Result<Option<SessionRecord>, StoreError> {
    if row.is_empty() {
        return Ok(None);
    }
    let number = |name| {
        let number = row.get(name).and_then(|text| text.parse().ok());
        number.ok_or_else(|| damaged(name))
    };
    let ended_at = row.contains_key("ended").then(|| number("ended"));
    let mut record = SessionRecord {
        generation: number("gen")?,
        previous_generation: number("prev")?,
        acknowledged: match row.get("ack").map(String::as_str) {
            Some("0") => false,
            Some("1") => true,
            _ => return Err(damaged("ack")),
        },
        created_at: number("created")?,
        rotated_at: number("rotated")?,
        last_used_at: number("used")?,
        idle_ttl: number("idle")?,
        expires_at: number("exp")?,
        ended_at: ended_at.transpose()?,
        // A reason that a later version knows: that the session has ended is what counts.
        end_reason: row.get("reason").and_then(|name| name.parse().ok()),
        ..SessionRecord::new(id, "", 0)
    };
    record.label = row.remove("label");
    record.subject = row.remove("sub").ok_or_else(|| damaged("sub"))?;
    record.token_id = row.remove("tid").ok_or_else(|| damaged("tid"))?;
    record.payload = row.remove("payload").ok_or_else(|| damaged("payload"))?;
    Ok(Some(record))
}

fn damaged(field: &'static str) -> StoreError {
    StoreError::new(format!("a session in Redis has no proper field `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::{Row, from_row, to_row};
    use crate::session::{EndReason, SessionRecord};

    fn record() -> SessionRecord {
        let mut record = SessionRecord::new("s", "alice", 1_700_000_000_000_001);
        record.generation = 7;
        record.previous_generation = 6;
        record.token_id = "t".into();
        record.acknowledged = true;
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
        record.ended_at = Some(3);
        record.end_reason = Some(EndReason::Replaced);
        assert_eq!(from_row("s", row(&record)).unwrap().as_ref(), Some(&record));
        assert_eq!(from_row("s", Row::new()).unwrap(), None);
    }

    #[test]
    fn a_damaged_row_is_an_error_and_never_no_session() {
        for field in row(&record()).into_keys().filter(|field| field != "label") {
            let mut without = row(&record());
            without.remove(&field);
            assert!(from_row("s", without).is_err(), "without {field}");
        }
        for field in ["gen", "used", "ack"] {
            let mut bad = row(&record());
            bad.insert(field.into(), "1e3".into());
            assert!(from_row("s", bad).is_err(), "{field}");
        }
    }
}
