//! [`Turns`]: a lock per key, so that work for the same key is done one after the other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::sync::{Mutex, MutexGuard};

/// The locks of all keys that are held or waited for.
#[derive(Default, Clone)]
pub(crate) struct Turns {
    locks: Arc<Mutex<Locks>>,
}

type Locks = HashMap<Box<str>, Shared>;

/// The lock of a key.
#[derive(Default)]
struct Shared {
    lock: Arc<AsyncMutex<()>>,
    /// The number of turns that hold the lock or wait for it. It changes only while the map is locked.
    /// Otherwise, of two turns that end at once, each could leave it to the other to remove the key.
    users: usize,
}

/// Holds the lock of a key, or waits for it. The last holder removes the lock.
pub(crate) struct Turn {
    turns: Turns,
    key: Box<str>,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl Turns {
    /// Waits until nobody else holds this key.
    pub(crate) async fn wait(&self, key: &str) -> Turn {
        let lock = {
            let mut locks = self.locks();
            let shared = locks.entry(key.into()).or_default();
            shared.users += 1;
            Arc::clone(&shared.lock)
        };
        // The turn is made before the wait, so that a request that is dropped meanwhile leaves nothing behind.
        let mut turn = Turn {
            turns: self.clone(),
            key: key.into(),
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
        if let Some(shared) = locks.get_mut(&self.key) {
            shared.users -= 1;
            if shared.users == 0 {
                locks.remove(&self.key);
            }
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

    /// Of two turns that end at the same time, neither may leave the key to the other.
    #[test]
    fn nothing_is_left_where_two_end_at_once() {
        let turns = Turns::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .build()
            .unwrap();
        for round in 0..2_000 {
            let key = round.to_string();
            let mut waiting = Vec::new();
            for _ in 0..4 {
                let (turns, key) = (turns.clone(), key.clone());
                waiting.push(runtime.spawn(async move { drop(turns.wait(&key).await) }));
            }
            for one in waiting {
                runtime.block_on(one).unwrap();
            }
        }
        assert_eq!(turns.locks().len(), 0);
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::future::block_on;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::Turns;

    #[test]
    fn one_holds_a_key_and_the_last_one_removes_it() {
        loom::model(|| {
            let turns = Turns::default();
            let holders = std::sync::Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (turns, holders) = (turns.clone(), std::sync::Arc::clone(&holders));
                    thread::spawn(move || {
                        let turn = block_on(turns.wait("a"));
                        assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0);
                        holders.fetch_sub(1, Ordering::Relaxed);
                        drop(turn);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(turns.locks().is_empty());
        });
    }
}
