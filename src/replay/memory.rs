//! [`MemoryReplays`]: used proofs in the memory of this process.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError};

use super::store::{ReplayEntry, ReplayStore};
use crate::store::StoreError;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// The default capacity of [`MemoryReplays`]: 500,000 proofs, in some 100 bytes each. With proofs that are
/// kept for 90 seconds, this is enough for 5,500 requests per second; with nonces, for 1,500.
pub const DEFAULT_MEMORY_REPLAYS: usize = 500_000;
/// The number of parts, each with a lock of its own.
const PARTS: usize = if cfg!(all(test, loom)) { 2 } else { 16 };

/// Keeps used proofs in the memory of this process, for one node: other nodes do not see them, and a restart
/// forgets them.
///
/// Its size is bounded in two ways. Expired entries are removed as others are added: by default, an entry
/// expires some 90 seconds after the proof was made or, with [nonces](crate::dpop::DpopBuilder::nonces), some
/// 330 seconds. And there are never more entries than its [capacity](Self::with_capacity).
///
/// If it is full, further proofs are answered with 503 until entries expire. It does not drop entries to make
/// room, because whoever can send many proofs could then evict the one that they want to replay. Only requests
/// with a valid token, a correct password or a valid refresh token get as far as this store. So the client
/// that fills it is known to you: limit its rate.
///
/// Clones share the entries.
#[derive(Clone)]
pub struct MemoryReplays {
    inner: Arc<Inner>,
}

struct Inner {
    parts: [Mutex<Part>; PARTS],
    count: AtomicUsize,
    capacity: usize,
}

#[derive(Default)]
struct Part {
    until: HashMap<[u8; 32], u64>,
    /// The digests by the second in which they expire.
    due: BTreeMap<u64, Vec<[u8; 32]>>,
}

// === impl MemoryReplays ===

impl MemoryReplays {
    /// Creates an empty store for [`DEFAULT_MEMORY_REPLAYS`] proofs.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_MEMORY_REPLAYS)
    }

    /// Creates an empty store for at most `capacity` proofs.
    ///
    /// It needs room for all requests with a proof in the time for which an entry is kept. That is the
    /// [longest age](crate::dpop::DpopBuilder::max_age) of a proof or, with nonces, two of their
    /// [periods](crate::dpop::DpopNonces::period), plus the [leeway](crate::dpop::DpopBuilder::leeway).
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts: std::array::from_fn(|_| Mutex::default()),
                count: AtomicUsize::new(0),
                capacity,
            }),
        }
    }

    /// Returns the number of entries, including expired ones that were not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.count.load(Ordering::Relaxed)
    }

    /// Returns whether the store has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, digest: &[u8; 32]) -> MutexGuard<'_, Part> {
        lock(&self.inner.parts[usize::from(digest[0]) % PARTS])
    }

    /// Takes a place for an entry, unless all are taken.
    fn reserve(&self) -> bool {
        let Inner {
            count, capacity, ..
        } = &*self.inner;
        let more = |count: usize| (count < *capacity).then_some(count + 1);
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    fn free(&self, places: usize) {
        self.inner.count.fetch_sub(places, Ordering::AcqRel);
    }

    /// Removes the expired entries from each part.
    fn sweep(&self, now: u64) {
        for part in &self.inner.parts {
            let removed = lock(part).sweep(now);
            self.free(removed);
        }
    }

    fn try_insert(&self, entry: &ReplayEntry) -> Option<bool> {
        let mut part = self.part(&entry.digest);
        let removed = part.sweep(entry.now);
        self.free(removed);
        let Entry::Vacant(place) = part.until.entry(entry.digest) else {
            return Some(false);
        };
        if !self.reserve() {
            return None;
        }
        place.insert(entry.until);
        let second = entry.until.div_ceil(1_000_000);
        part.due.entry(second).or_default().push(entry.digest);
        Some(true)
    }
}

impl Default for MemoryReplays {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayStore for MemoryReplays {
    async fn insert(&self, entry: ReplayEntry) -> Result<bool, StoreError> {
        if let Some(is_new) = self.try_insert(&entry) {
            return Ok(is_new);
        }
        self.sweep(entry.now);
        self.try_insert(&entry).ok_or_else(|| {
            StoreError::new(format!(
                "the memory for used proofs is full: it has room for {} (see \
                 `MemoryReplays::with_capacity`)",
                self.inner.capacity
            ))
        })
    }
}

impl fmt::Debug for MemoryReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplays")
            .field("len", &self.len())
            .field("capacity", &self.inner.capacity)
            .finish()
    }
}

// === impl Part ===

impl Part {
    /// Removes the expired entries, and returns their number.
    fn sweep(&mut self, now: u64) -> usize {
        let mut removed = 0;
        while let Some(first) = self.due.first_entry() {
            if first.key().saturating_mul(1_000_000) > now {
                break;
            }
            for digest in first.remove() {
                removed += usize::from(self.until.remove(&digest).is_some());
            }
        }
        // The memory of a burst is given back.
        if self.until.capacity() > 1024 && self.until.len() < self.until.capacity() / 8 {
            self.until.shrink_to(self.until.len() * 2);
        }
        removed
    }
}

/// Locks a part. A thread that panicked with the lock has left the part as it was before or after its step.
fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn entry(number: u64, now: u64, until: u64) -> ReplayEntry {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        ReplayEntry::new(digest, now, until)
    }

    #[tokio::test]
    async fn a_full_store_fails_and_forgets_nothing() {
        let store = MemoryReplays::with_capacity(100);
        for number in 0..100 {
            assert!(store.insert(entry(number, 0, 90 * SECOND)).await.unwrap());
        }
        for number in 100..1000 {
            store
                .insert(entry(number, 0, 90 * SECOND))
                .await
                .unwrap_err();
            assert_eq!(store.len(), 100);
        }
        for number in 0..100 {
            let again = entry(number, 89 * SECOND, 100 * SECOND);
            assert!(!store.insert(again).await.unwrap());
        }
        // Room is made as soon as entries are over, in whichever part they are.
        let later = entry(5000, 90 * SECOND, 180 * SECOND);
        assert!(store.insert(later).await.unwrap());
        assert!(store.len() < 100);
        for number in 6000..6100 {
            let later = entry(number, 90 * SECOND, 180 * SECOND);
            let is_new = store.insert(later).await;
            assert_eq!(is_new.is_ok(), number < 6099, "{number}");
        }
    }

    #[tokio::test]
    async fn a_million_proofs_take_no_more_than_the_bound() {
        let store = MemoryReplays::with_capacity(20_000);
        let mut refused = 0_u32;
        for number in 0..1_000_000 {
            // 10,000 a second, each of which is kept for a second.
            let now = number * 100;
            if store
                .insert(entry(number, now, now + SECOND))
                .await
                .is_err()
            {
                refused += 1;
            }
            assert!(store.len() <= 20_000);
        }
        assert_eq!(refused, 0);
        let entries: usize = store
            .inner
            .parts
            .iter()
            .map(|part| lock(part).until.len())
            .sum();
        let due: usize = (store.inner.parts.iter())
            .map(|part| lock(part).due.values().map(Vec::len).sum::<usize>())
            .sum();
        assert_eq!((entries, due), (store.len(), store.len()));
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::future::block_on;
    use loom::thread;

    use super::{MemoryReplays, ReplayEntry, ReplayStore as _};

    fn both(store: &MemoryReplays, digests: [[u8; 32]; 2]) -> [Option<bool>; 2] {
        let threads = digests.map(|digest| {
            let store = store.clone();
            thread::spawn(move || block_on(store.insert(ReplayEntry::new(digest, 0, 9))).ok())
        });
        threads.map(|thread| thread.join().unwrap())
    }

    #[test]
    fn of_two_uses_of_one_proof_one_is_the_first() {
        loom::model(|| {
            let store = MemoryReplays::with_capacity(5);
            let mut is_new = both(&store, [[1; 32], [1; 32]]);
            is_new.sort_unstable();
            assert_eq!(is_new, [Some(false), Some(true)]);
            assert_eq!(store.len(), 1);
        });
    }

    #[test]
    fn two_proofs_that_meet_never_take_more_room_than_there_is() {
        loom::model(|| {
            let store = MemoryReplays::with_capacity(1);
            let is_new = both(&store, [[1; 32], [2; 32]]);
            assert_eq!(is_new.iter().filter(|one| **one == Some(true)).count(), 1);
            assert_eq!(is_new.iter().filter(|one| one.is_none()).count(), 1);
            assert_eq!(store.len(), 1);
        });
    }
}
