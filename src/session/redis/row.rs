//! A session as the fields of a hash, and back.

use std::collections::HashMap;

use crate::session::SessionRecord;
use crate::store::StoreError;

/// The largest number that is stored. Redis computes with doubles, which hold integers up to
/// here exactly; as microseconds since the epoch it is the year 2255.
const MAX_NUMBER: u64 = 1 << 53;

pub(super) type Row = HashMap<String, String>;

/// A number as text, if Redis can compute with it.
pub(super) fn number(number: u64) -> Result<String, StoreError> {
    if number > MAX_NUMBER {
        return Err(StoreError::new("a number is above 2^53"));
    }
    Ok(number.to_string())
}

/// The fields of a session that has not ended, or has.
pub(super) fn to_row(record: &SessionRecord) -> Result<Vec<(&'static str, String)>, StoreError> {
    let mut row = vec![
        ("sub", record.subject.clone()),
        ("gen", number(record.generation)?),
        ("prev", number(record.previous_generation)?),
        ("tid", record.token_id.clone()),
        ("ack", u8::from(record.acknowledged).to_string()),
        ("created", number(record.created_at)?),
        ("rotated", number(record.rotated_at)?),
        ("used", number(record.last_used_at)?),
        ("idle", number(record.idle_ttl)?),
        ("exp", number(record.expires_at)?),
        ("payload", record.payload.clone()),
    ];
    if let Some(at) = record.ended_at {
        row.push(("ended", number(at)?));
    }
    if let Some(reason) = record.end_reason {
        row.push(("reason", reason.as_str().to_owned()));
    }
    if let Some(label) = &record.label {
        row.push(("label", label.clone()));
    }
    Ok(row)
}

/// The session of a hash; none of an empty one, which Redis does not tell from none.
pub(super) fn from_row(id: &str, mut row: Row) -> Result<Option<SessionRecord>, StoreError> {
    if row.is_empty() {
        return Ok(None);
    }
    let numbers = |name| {
        let number = row.get(name).and_then(|text| text.parse().ok());
        number.ok_or_else(|| damaged(name))
    };
    let ended_at = row.contains_key("ended").then(|| numbers("ended"));
    let mut record = SessionRecord {
        generation: numbers("gen")?,
        previous_generation: numbers("prev")?,
        acknowledged: match row.get("ack").map(String::as_str) {
            Some("0") => false,
            Some("1") => true,
            _ => return Err(damaged("ack")),
        },
        created_at: numbers("created")?,
        rotated_at: numbers("rotated")?,
        last_used_at: numbers("used")?,
        idle_ttl: numbers("idle")?,
        expires_at: numbers("exp")?,
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
    use super::{MAX_NUMBER, Row, from_row, to_row};
    use crate::session::{EndReason, SessionRecord};

    fn record() -> SessionRecord {
        let mut record = SessionRecord::new("s", "alice", 1_700_000_000_000_001);
        record.generation = 7;
        record.previous_generation = 6;
        record.token_id = "t".into();
        record.acknowledged = true;
        record.idle_ttl = MAX_NUMBER;
        record.label = Some(String::new());
        record
    }

    fn row(record: &SessionRecord) -> Row {
        let row = to_row(record).unwrap().into_iter();
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
    fn what_a_double_cannot_hold_is_an_error() {
        let mut record = record();
        record.expires_at = MAX_NUMBER + 1;
        assert!(to_row(&record).is_err());
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
