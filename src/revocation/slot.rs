//! [`Slot`]: the place of one token's answer in a cache.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::RevocationQuery;
use crate::store::StoreError;

/// The place of one token's answer; it is filled once, by whoever comes first.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) answer: OnceCell<Answer>,
    /// From before the store is asked.
    pub(super) epoch: u64,
    /// When the store last said "not revoked", before this slot.
    pub(super) last_good: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) verdict: Result<bool, Arc<StoreError>>,
    /// From before the store was asked, in microseconds.
    pub(super) asked_at: u64,
}

// === impl Slot ===

impl Slot {
    /// When the store last said "not revoked".
    pub(super) fn last_good(&self) -> Option<u64> {
        match self.answer.get() {
            Some(Answer {
                verdict: Ok(false),
                asked_at,
            }) => Some(*asked_at),
            _ => self.last_good,
        }
    }
}

/// Everything that the answer depends on, unambiguously: an issuer may use an id twice.
pub(super) fn key(query: &RevocationQuery<'_>) -> Vec<u8> {
    let parts = [
        query.issuer(),
        Some(query.subject()),
        query.session(),
        Some(query.token()),
    ];
    let texts: usize = parts.iter().flatten().map(|part| part.len()).sum();
    let mut key = Vec::with_capacity(parts.len() * 8 + texts + 8);
    for part in parts {
        // A length that no text has stands for none.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        key.extend_from_slice(&length.to_le_bytes());
        key.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
    key.extend_from_slice(&query.issued_at().to_le_bytes());
    key
}

pub(super) fn no_answer() -> StoreError {
    StoreError::new("no answer within the timeout")
}

/// None where the clock was set back, so that nothing is believed for longer than meant.
pub(super) fn age(since: u64, now: u64) -> Option<Duration> {
    now.checked_sub(since).map(Duration::from_micros)
}
