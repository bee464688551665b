//! [`Loaded`]: the keys that a ring has in memory. They are replaced as a whole.

use std::sync::{Arc, PoisonError};

use arc_swap::{ArcSwap, Guard};

use tokio::time::Instant;

use super::life::Life;
use crate::keys::changes::{Changes, replaced};
use crate::keys::{KeyChange, SigningKey};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// The keys in the order of their activation.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) keys: Vec<SigningKey>,
    pub(super) lives: Vec<Life>,
    /// The digest of the file, by which a change is noticed.
    pub(super) digest: Option<String>,
}

/// The current keys. Readers never wait.
///
/// The file is read without a lock, by several threads at once. Reads are numbered as they begin, and the
/// result of an older read never replaces that of a newer one, so that a slow thread cannot bring a removed
/// key back.
pub(super) struct Loaded {
    snapshot: ArcSwap<Snapshot>,
    begun: AtomicU64,
    /// The newest read whose keys were kept. It is locked only while a pointer is replaced.
    newest: Mutex<u64>,
    changes: Mutex<Changes>,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn new(mut keys: Vec<(SigningKey, Life)>) -> Self {
        keys.sort_by_key(|(_, life)| life.from); // stable: of two with the same time, the later one signs
        let (keys, lives) = keys.into_iter().unzip();
        Self {
            keys,
            lives,
            digest: None,
        }
    }
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            begun: AtomicU64::new(0),
            newest: Mutex::new(0),
            changes: Mutex::new(Changes::default()),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Returns the number of a read that begins now.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Keeps the result of a read. Returns `false` if a newer read was faster.
    pub(super) fn keep(&self, look: u64, snapshot: Snapshot) -> bool {
        let mut newest = self.newest();
        let is_newest = look > *newest;
        if is_newest {
            *newest = look;
            self.tell_changes(&snapshot.keys);
            self.snapshot.store(Arc::new(snapshot));
        }
        is_newest
    }

    /// Looks at the file: reads it and, if it has changed, keeps what is in it. Returns whether it has.
    ///
    /// `read` returns the text of the file with its digest.
    pub(super) fn look<T, E>(
        &self,
        mut read: impl FnMut() -> Result<(T, Option<String>), E>,
        mut parse: impl FnMut(T, Option<String>) -> Result<Snapshot, E>,
    ) -> Result<bool, E> {
        loop {
            let look = self.begin();
            let (text, digest) = read()?;
            if self.is_unchanged(look, digest.as_deref()) {
                return Ok(false);
            }
            // Otherwise another thread was faster, and this text may be older than the one that it has read.
            if self.keep(look, parse(text, digest)?) {
                return Ok(true);
            }
        }
    }

    /// Returns the last keys that were replaced by others with the same id.
    pub(super) fn changes(&self) -> Vec<KeyChange> {
        self.changes_mut().told(Instant::now())
    }

    fn tell_changes(&self, keys: &[SigningKey]) {
        let before = self.snapshot.load();
        let key_id = |key: &SigningKey| key.key_id().to_owned();
        for key_id in replaced(&before.keys, keys, key_id, SigningKey::is_same_key) {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                event = "key_changed",
                key_id,
                "a key of the ring was replaced by another one with the same id"
            );
            self.changes_mut().add(&key_id, Instant::now());
        }
    }

    fn changes_mut(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file that was read is already loaded. Returns `false` if a newer read was faster.
    pub(super) fn is_unchanged(&self, look: u64, digest: Option<&str>) -> bool {
        let mut newest = self.newest();
        let is_known = digest.is_some() && digest == self.load().digest.as_deref();
        let is_unchanged = look > *newest && is_known;
        if is_unchanged {
            *newest = look;
        }
        is_unchanged
    }

    fn newest(&self) -> MutexGuard<'_, u64> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Loaded, Snapshot};

    fn digest(digest: &str) -> Snapshot {
        Snapshot {
            digest: Some(digest.to_owned()),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_slow_read_does_not_replace_the_result_of_a_newer_one() {
        let loaded = Loaded::new(digest("old"));
        let (slow, fast) = (loaded.begin(), loaded.begin());
        assert!(loaded.keep(fast, digest("new")));
        assert!(!loaded.keep(slow, digest("old")));
        assert_eq!(loaded.load().digest.as_deref(), Some("new"));
        // The same holds if the newer read has found what is already loaded.
        let (slow, fast) = (loaded.begin(), loaded.begin());
        assert!(loaded.is_unchanged(fast, Some("new")));
        assert!(!loaded.keep(slow, digest("old")));
        assert!(!loaded.is_unchanged(slow, Some("new")));
        assert!(!loaded.is_unchanged(loaded.begin(), Some("newer")));
        assert!(!loaded.is_unchanged(loaded.begin(), None));
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::convert::Infallible;
    use std::sync::Arc;

    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::{Loaded, Snapshot};

    /// A file whose text is a number: the later, the larger.
    struct Ring {
        file: AtomicU64,
        loaded: Loaded,
    }

    impl Ring {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                file: AtomicU64::new(1),
                loaded: Loaded::new(snapshot(1)),
            })
        }

        fn loaded(&self) -> u64 {
            let snapshot = self.loaded.load();
            snapshot.digest.as_deref().unwrap().parse().unwrap()
        }

        fn look(&self) {
            let read = || {
                let text = self.file.load(Ordering::SeqCst);
                Ok::<_, Infallible>((text, Some(text.to_string())))
            };
            let before = self.file.load(Ordering::SeqCst);
            let looked = self.loaded.look(read, |text, _| Ok(snapshot(text)));
            looked.unwrap();
            assert!(self.loaded() >= before, "the look has seen what was there");
        }

        /// Changes the file, as its one lock lets one node at a time, unless it was replaced by hand.
        fn change(&self, to: u64) {
            let replaced = self
                .file
                .compare_exchange(1, to, Ordering::SeqCst, Ordering::SeqCst);
            if replaced.is_err() {
                return;
            }
            self.look();
            assert!(self.loaded() >= to, "a change is in effect when it returns");
        }
    }

    fn snapshot(number: u64) -> Snapshot {
        Snapshot {
            digest: Some(number.to_string()),
            ..Snapshot::default()
        }
    }

    fn threads(ring: &Arc<Ring>, run: impl IntoIterator<Item = fn(&Ring)>) {
        let threads: Vec<_> = run
            .into_iter()
            .map(|run| {
                let ring = Arc::clone(ring);
                thread::spawn(move || run(&ring))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn looks_never_bring_back_what_a_change_has_replaced() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let ring = Ring::new();
            threads(&ring, [Ring::look as fn(&Ring), |ring| ring.change(2)]);
            assert_eq!(ring.loaded(), 2);
        });
    }

    #[test]
    fn a_file_that_is_replaced_by_hand_meanwhile_counts_after_a_look() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let ring = Ring::new();
            let by_hand = |ring: &Ring| {
                ring.file.fetch_max(3, Ordering::SeqCst);
                ring.look();
                assert_eq!(ring.loaded(), 3);
            };
            threads(&ring, [by_hand as fn(&Ring), |ring| ring.change(2)]);
            ring.look();
            assert_eq!(ring.loaded(), 3);
        });
    }
}
