//! [`Absent`]: key ids that were not found, so that a client with a bad token does not cause a fetch every 30
//! seconds.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a key id that was not found causes no further fetch.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// The most key ids that are kept, each with at most 256 bytes.
const MAX_ABSENT: usize = 256;

/// The key ids that the last fetches did not find.
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
        // During a flood of key ids, those that are kept stay, and further ones can cause a fetch each time.
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
    fn absent_key_ids_are_kept_for_a_minute_and_bounded() {
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
