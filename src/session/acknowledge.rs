//! [`Acknowledger`]: tells a store which generation of a session is in use, at most once each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::seen::SeenGenerations;
use super::timed::TimedStore;

/// The number of writes that are under way at once.
pub(crate) const MAX_WRITES: usize = 4;
/// The number of acknowledgements that wait for one of them. Further ones are dropped, and made
/// again by the next request of the session.
pub(crate) const MAX_WAITING: usize = 4096;

/// The acknowledger of a verifier. It stays empty until sessions are built on the same issuer.
pub(crate) type AcknowledgerSlot = Arc<OnceLock<Acknowledger>>;

/// Sees the sessions of verified tokens go by, and writes to the store in the background.
///
/// A request never waits for a write. At most [`MAX_WRITES`] tasks exist, each write has a
/// timeout, and at most [`MAX_WAITING`] acknowledgements wait.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: TimedStore,
    seen: SeenGenerations,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(String, u64)>,
    workers: usize,
}

/// Counts a worker; it is dropped with its task, also when a runtime shuts down.
struct Worker {
    shared: Arc<Shared>,
    is_counted: bool,
}

// === impl Acknowledger ===

impl Acknowledger {
    pub(crate) fn new(store: TimedStore) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                seen: SeenGenerations::new(),
                queue: Mutex::default(),
            }),
        }
    }

    /// Notes that a token of this session and generation was verified. Outside a Tokio runtime
    /// nothing is written, and the session counts as one whose acknowledgements do not arrive.
    pub(crate) fn seen(&self, session: &str, generation: u64) {
        if !self.shared.seen.is_news(session, generation) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.shared.seen.forget(session, generation);
            return;
        };
        let mut queue = self.shared.queue();
        if queue.waiting.len() >= MAX_WAITING {
            drop(queue);
            self.shared.seen.forget(session, generation);
            return;
        }
        queue.waiting.push_back((session.to_owned(), generation));
        if queue.workers < MAX_WRITES {
            queue.workers += 1;
            let worker = Worker {
                shared: Arc::clone(&self.shared),
                is_counted: true,
            };
            drop(queue);
            runtime.spawn(worker.run());
        }
    }
}

// === impl Shared ===

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Worker ===

impl Worker {
    /// Writes until nothing waits.
    async fn run(mut self) {
        while let Some((session, generation)) = self.next() {
            let written = self.shared.store.acknowledge(&session, generation).await;
            if written.is_err() {
                self.shared.seen.forget(&session, generation);
            }
        }
    }

    /// The next acknowledgement to write. Whether to stop is decided under the lock, so that none
    /// is left waiting with nobody to write it.
    fn next(&mut self) -> Option<(String, u64)> {
        let mut queue = self.shared.queue();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.workers -= 1;
            self.is_counted = false;
        }
        next
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.is_counted {
            self.shared.queue().workers -= 1;
        }
    }
}
