//! [`Changes`]: the keys that were replaced by others with the same id, and when that was noticed.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::health::KeyChange;

/// How many changes are kept: enough to show that a provider does it regularly.
const MAX_CHANGES: usize = 8;

/// The last keys that were replaced by others with the same id.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    newest_first: VecDeque<(String, Instant)>,
}

// === impl Changes ===

impl Changes {
    /// Adds the id of a key that was replaced.
    pub(crate) fn add(&mut self, key_id: &str, now: Instant) {
        self.newest_first.truncate(MAX_CHANGES - 1);
        self.newest_first.push_front((key_id.to_owned(), now));
    }

    /// Returns the changes for a health endpoint.
    pub(crate) fn told(&self, now: Instant) -> Vec<KeyChange> {
        let changes = self.newest_first.iter();
        changes
            .map(|(key_id, at)| KeyChange {
                key_id: key_id.clone(),
                age: now.saturating_duration_since(*at),
            })
            .collect()
    }
}

/// Returns the ids under which a key is gone and another one was added.
pub(crate) fn replaced<K>(
    before: &[K],
    now: &[K],
    key_id: impl Fn(&K) -> String,
    is_same: impl Fn(&K, &K) -> bool,
) -> Vec<String> {
    let is_in = |keys: &[K], key: &K| keys.iter().any(|other| is_same(other, key));
    let gone = before.iter().filter(|key| !is_in(now, key));
    let mut gone: Vec<String> = gone.map(&key_id).collect();
    let added = now.iter().filter(|key| !is_in(before, key));
    let added: Vec<String> = added.map(&key_id).collect();
    gone.retain(|id| added.contains(id));
    gone.dedup();
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Changes, Instant, MAX_CHANGES, replaced};

    #[test]
    fn a_key_is_replaced_if_another_one_takes_its_id() {
        let of = |before: &[(&str, u8)], now: &[(&str, u8)]| {
            replaced(before, now, |key| key.0.to_owned(), |a, b| a == b)
        };
        assert_eq!(of(&[("a", 1), ("b", 1)], &[("b", 1), ("a", 2)]), ["a"]);
        // None of these is a replacement: an added key, a rotation, and a second key with the id that comes
        // or goes.
        assert!(of(&[("a", 1)], &[("a", 1), ("b", 2)]).is_empty());
        assert!(of(&[("a", 1)], &[("b", 2)]).is_empty());
        assert!(of(&[("a", 1)], &[("a", 1), ("a", 2)]).is_empty());
        assert!(of(&[("a", 1), ("a", 2)], &[("a", 2)]).is_empty());
    }

    #[test]
    fn the_newest_changes_are_kept_and_never_more_than_eight() {
        let (mut changes, start) = (Changes::default(), Instant::now());
        for number in 0..20_u32 {
            changes.add(
                &number.to_string(),
                start + Duration::from_secs(number.into()),
            );
        }
        let told = changes.told(start + Duration::from_secs(20));
        assert_eq!(told.len(), MAX_CHANGES);
        assert_eq!((&*told[0].key_id, told[0].age.as_secs()), ("19", 1));
        assert_eq!((&*told[7].key_id, told[7].age.as_secs()), ("12", 8));
    }
}
