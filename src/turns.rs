//! [`Turns`]: a lock per key, so that work for the same key is done one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The locks of all keys that are held or waited for.
#[derive(Default, Clone)]
pub(crate) struct Turns {
    locks: Arc<Mutex<Locks>>,
}

type Locks = HashMap<Box<str>, Arc<AsyncMutex<()>>>;

/// Holds the lock of a key, or waits for it. The last holder removes the lock.
pub(crate) struct Turn {
    turns: Turns,
    key: Box<str>,
    lock: Arc<AsyncMutex<()>>,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl Turns {
    /// Waits until nobody else holds this key.
    pub(crate) async fn wait(&self, key: &str) -> Turn {
        let lock = Arc::clone(self.locks().entry(key.into()).or_default());
        // It is made before the wait, so that a request that is dropped meanwhile leaves nothing behind.
        let mut turn = Turn {
            turns: self.clone(),
            key: key.into(),
            lock: Arc::clone(&lock),
            guard: None,
        };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Turn ===

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut locks = self.turns.locks();
        // The only references are this one and the one in the map, so nobody else waits.
        if Arc::strong_count(&self.lock) <= 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    #[tokio::test]
    async fn a_key_has_one_holder_and_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.wait("a").await;
        drop(turns.wait("b").await);
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { drop(turns.wait("a").await) }
        });
        let dropped = tokio::spawn({
            let turns = turns.clone();
            async move { drop(turns.wait("a").await) }
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished() && !dropped.is_finished());
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        drop(first);
        waiting.await.unwrap();
        assert!(turns.locks().is_empty());
    }
}
