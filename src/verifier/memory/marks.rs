//! [`Marks`]: which tokens were seen once.

use crate::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A mark for each token that was seen once. It only decides whether a token is cached when it is seen again.
/// Marks are few and small, because each new token touches another one, which is seldom in the cache of the
/// processor.
pub(super) struct Marks {
    /// Their number is a power of two.
    places: Box<[AtomicU8]>,
    /// Counts the tokens that found the mark of another token in their place.
    met: AtomicU32,
}

// === impl Marks ===

impl Marks {
    /// Creates at least `count` marks.
    pub(super) fn new(count: usize) -> Self {
        let count = count.next_power_of_two();
        Self {
            places: (0..count).map(|_| AtomicU8::new(0)).collect(),
            met: AtomicU32::new(0),
        }
    }

    /// Returns whether the token with this hash was marked before, and marks it otherwise.
    pub(super) fn was_seen(&self, hash: u64) -> bool {
        let mark = (hash >> 56) as u8 | 1;
        let index = hash as usize & (self.places.len() - 1);
        let Some(place) = self.places.get(index) else {
            return false;
        };
        let found = place.load(Ordering::Relaxed);
        if found == mark {
            return true;
        }
        if found == 0 || self.gives_way() {
            place.store(mark, Ordering::Relaxed);
        }
        false
    }

    /// Whether a mark replaces that of another token. It does so half of the time, without a repeating order.
    /// If it always did, tokens that are used in turn would evict each other forever.
    fn gives_way(&self) -> bool {
        const GOLDEN: u32 = 0x9e37_79b9; // 2^32 divided by the golden ratio
        let met = self.met.fetch_add(1, Ordering::Relaxed);
        met.wrapping_mul(GOLDEN) >> 31 == 1
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::Arc;

    use loom::thread;

    use super::Marks;

    const ONE: u64 = 3 << 56;
    const OTHER: u64 = 5 << 56;

    #[test]
    fn a_token_is_never_taken_for_one_that_was_seen_before() {
        loom::model(|| {
            let marks = Arc::new(Marks::new(1));
            let other = thread::spawn({
                let marks = Arc::clone(&marks);
                move || (marks.was_seen(OTHER), marks.was_seen(OTHER))
            });
            assert!(!marks.was_seen(ONE));
            let (first, _) = other.join().unwrap();
            assert!(!first);
        });
    }

    #[test]
    fn a_token_that_two_threads_have_seen_is_known_to_both() {
        loom::model(|| {
            let marks = Arc::new(Marks::new(1));
            let other = thread::spawn({
                let marks = Arc::clone(&marks);
                move || {
                    marks.was_seen(ONE);
                    marks.was_seen(ONE)
                }
            });
            marks.was_seen(ONE);
            assert!(marks.was_seen(ONE));
            assert!(other.join().unwrap());
        });
    }

    #[test]
    fn two_tokens_in_one_place_both_come_to_be_known() {
        loom::model(|| {
            let marks = Arc::new(Marks::new(1));
            let other = thread::spawn({
                let marks = Arc::clone(&marks);
                move || marks.was_seen(OTHER)
            });
            marks.was_seen(ONE);
            other.join().unwrap();
            for token in [ONE, OTHER] {
                assert!((0..8).any(|_| marks.was_seen(token)));
            }
        });
    }
}
