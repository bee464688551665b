//! [`Absent`]: key ids that were sought and not found, so that one client with a bad token does
//! not cause a fetch in each window.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a key id that was not found causes no further fetch.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// How many are remembered, of at most 256 bytes each.
const MAX_ABSENT: usize = 256;

/// Key ids that the last fetches did not bring.
#[derive(Debug, Default)]
pub(super) struct Absent {
    until: HashMap<Option<Box<str>>, Instant>,
}

// === impl Absent ===

impl Absent {
    pub(super) fn add(&mut self, key_id: Option<&str>, now: Instant) {
        if self.until.len() >= MAX_ABSENT {
            self.until.retain(|_, until| now < *until);
        }
        // Somebody floods it: what is remembered goes on counting, the rest costs its window.
        if self.until.len() < MAX_ABSENT {
            self.until.insert(key_id.map(Into::into), now + ABSENT_FOR);
        }
    }

    pub(super) fn contains(&self, key_id: Option<&str>, now: Instant) -> bool {
        let key_id: Option<Box<str>> = key_id.map(Into::into);
        self.until.get(&key_id).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_remembered_for_a_minute_and_never_without_bound() {
        let (mut absent, now) = (Absent::default(), Instant::now());
        absent.add(Some("a"), now);
        absent.add(None, now);
        let last = now + ABSENT_FOR - Duration::from_nanos(1);
        assert!(absent.contains(Some("a"), last) && absent.contains(None, last));
        assert!(!absent.contains(Some("a"), now + ABSENT_FOR));
        assert!(!absent.contains(Some("b"), now));
        for number in 0..1000 {
            absent.add(Some(&number.to_string()), now);
        }
        assert_eq!(absent.until.len(), MAX_ABSENT);
        absent.add(Some("later"), now + ABSENT_FOR);
        assert_eq!(absent.until.len(), 1);
    }
}
