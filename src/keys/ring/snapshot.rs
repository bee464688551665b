//! [`Loaded`]: the keys that a ring has in memory. They are replaced as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use tokio::time::Instant;

use super::life::Life;
use crate::keys::changes::{Changes, replaced};
use crate::keys::{KeyChange, SigningKey};

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
            changes: Mutex::default(),
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
