//! [`SeenNumbers`]: a set of fixed size that notes what was already seen in use, such as the generations of
//! sessions.

use std::hash::BuildHasher;

use crate::sync::RandomState;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The number of places in a set, which sessions share: enough that two rarely evict each other.
const PLACES_IN_SET: usize = if cfg!(all(test, loom)) { 2 } else { 16 };
/// The number of sets, a power of two.
const SETS: usize = if cfg!(all(test, loom)) { 1 } else { 1 << 14 };
/// The number of low bits of an entry that hold the generation. The others identify the session.
const GENERATION_BITS: u32 = 24;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// The latest generation that was seen of each of some 260,000 sessions, in 2 MiB, without locks. (For
/// API keys, read "key" for session and "minute" for generation.)
///
/// A session that was evicted counts as news again, which costs one write that changes nothing. Two sessions
/// with the same keyed 54-bit hash are mistaken for each other. With 100,000 sessions, the probability that
/// this happens at all is less than one in three million.
#[derive(Debug)]
pub(super) struct SeenNumbers {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

// === impl SeenNumbers ===

impl SeenNumbers {
    pub(super) fn new() -> Self {
        Self {
            places: (0..SETS * PLACES_IN_SET)
                .map(|_| AtomicU64::new(0))
                .collect(),
            hasher: RandomState::new(),
        }
    }

    /// Returns whether this generation is later than any that was seen of the session, and notes
    /// that it was seen. An earlier generation is never news.
    pub(super) fn is_news(&self, session: &str, generation: u64) -> bool {
        let (set, entry) = self.find(session, generation);
        let same = |known: u64| known >> GENERATION_BITS == entry >> GENERATION_BITS;
        for place in set {
            if same(place.load(Ordering::Relaxed)) {
                // The session is in the high bits of both, so the later generation is the larger.
                let known = place.fetch_max(entry, Ordering::Relaxed);
                if same(known) {
                    return known < entry;
                }
            }
        }
        for place in set {
            if place.load(Ordering::Relaxed) == 0
                && place
                    .compare_exchange(0, entry, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            {
                return true;
            }
        }
        // A random place: in a fixed order, the sessions of a full set would evict each other in turn.
        let victim = self.hasher.hash_one((session, generation, "victim"));
        set[victim as usize % PLACES_IN_SET].store(entry, Ordering::Relaxed);
        true
    }

    /// Makes this generation news again, because it could not be reported.
    pub(super) fn forget(&self, session: &str, generation: u64) {
        let (set, entry) = self.find(session, generation);
        for place in set {
            let _ = place.compare_exchange(entry, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Returns the places that a session may be in, and its entry.
    fn find(&self, session: &str, generation: u64) -> (&[AtomicU64], u64) {
        let hash = self.hasher.hash_one(session);
        let first = (hash as usize % SETS) * PLACES_IN_SET;
        // No entry is zero, which marks an empty place.
        let tag = (hash >> GENERATION_BITS).max(1) << GENERATION_BITS;
        let entry = tag | generation.min(GENERATION_MASK);
        (&self.places[first..first + PLACES_IN_SET], entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACES_IN_SET, SETS, SeenNumbers};

    #[test]
    fn a_generation_is_news_once_and_an_older_one_never() {
        let seen = SeenNumbers::new();
        assert!(seen.is_news("a", 3));
        assert!(!seen.is_news("a", 3));
        assert!(!seen.is_news("a", 2));
        assert!(seen.is_news("a", 4));
        assert!(seen.is_news("b", 3));
    }

    #[test]
    fn a_generation_that_could_not_be_reported_is_news_again() {
        let seen = SeenNumbers::new();
        assert!(seen.is_news("a", 0));
        seen.forget("a", 0);
        assert!(seen.is_news("a", 0));
        assert!(seen.is_news("a", 1));
        seen.forget("a", 0);
        assert!(!seen.is_news("a", 1), "a later one stays");
    }

    #[test]
    fn more_sessions_than_places_do_not_make_the_set_grow() {
        let seen = SeenNumbers::new();
        for session in 0..SETS * PLACES_IN_SET + 10_000 {
            assert!(seen.is_news(&session.to_string(), 0));
        }
        assert_eq!(seen.places.len(), SETS * PLACES_IN_SET);
    }

    #[test]
    fn a_hundred_thousand_sessions_rarely_evict_each_other() {
        let seen = SeenNumbers::new();
        let ids: Vec<String> = (0..100_000).map(|id| format!("session {id}")).collect();
        let news = |_| ids.iter().filter(|id| seen.is_news(id, 0)).count();
        let counts: Vec<usize> = (0..20).map(news).collect();
        assert_eq!(counts[0], ids.len());
        let again: usize = counts[1..].iter().sum();
        assert!(again < ids.len() / 20, "{again} of {} again", ids.len());
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::Arc;

    use loom::thread;

    use super::SeenNumbers;

    /// Runs each in a thread of its own, and returns what they return.
    fn together(
        seen: &Arc<SeenNumbers>,
        one: fn(&SeenNumbers) -> bool,
        other: fn(&SeenNumbers) -> bool,
    ) -> (bool, bool) {
        let (first, second) = (Arc::clone(seen), Arc::clone(seen));
        let first = thread::spawn(move || one(&first));
        let second = thread::spawn(move || other(&second));
        (first.join().unwrap(), second.join().unwrap())
    }

    #[test]
    fn of_two_who_see_one_number_one_at_least_reports_it() {
        loom::model(|| {
            let seen = Arc::new(SeenNumbers::new());
            let news = together(
                &seen,
                |seen| seen.is_news("a", 1),
                |seen| seen.is_news("a", 1),
            );
            assert!(news.0 || news.1);
            // A session may have got two places: that costs a write, and hides nothing.
            assert!(seen.is_news("a", 2));
        });
    }

    #[test]
    fn the_later_of_two_numbers_is_always_reported() {
        loom::model(|| {
            let seen = Arc::new(SeenNumbers::new());
            let (_, later) = together(
                &seen,
                |seen| seen.is_news("a", 1),
                |seen| seen.is_news("a", 2),
            );
            assert!(later);
        });
    }

    #[test]
    fn a_session_that_is_evicted_meanwhile_hides_no_news() {
        loom::model(|| {
            let seen = Arc::new(SeenNumbers::new());
            assert!(seen.is_news("a", 1));
            assert!(seen.is_news("b", 1));
            // There is no third place, so this evicts one of the two.
            let (news, _) = together(
                &seen,
                |seen| seen.is_news("a", 2),
                |seen| seen.is_news("c", 1),
            );
            assert!(news);
        });
    }

    #[test]
    fn forgetting_one_number_keeps_a_later_one() {
        loom::model(|| {
            let seen = Arc::new(SeenNumbers::new());
            assert!(seen.is_news("a", 1));
            let forget = |seen: &SeenNumbers| {
                seen.forget("a", 1);
                true
            };
            let (_, news) = together(&seen, forget, |seen| seen.is_news("a", 2));
            assert!(news);
            assert!(!seen.is_news("a", 1), "an earlier one is never news");
        });
    }
}
