//! [`Acknowledger`]: reports to a store which generation of a session is in use, once for each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::seen::SeenGenerations;
use super::timed::TimedStore;

/// The largest number of writes that run at once.
pub(crate) const MAX_WRITES: usize = 4;
/// The largest number of acknowledgements that wait to be written. Further ones are dropped; the
/// next request of the session makes them again.
pub(crate) const MAX_WAITING: usize = 4096;

/// The acknowledger of a verifier. It stays empty until sessions are built on the same issuer.
pub(crate) type AcknowledgerSlot = Arc<OnceLock<Acknowledger>>;

/// Receives the sessions of verified tokens, and writes to the store in the background that they
/// are in use.
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

/// A counted worker. It is dropped with its task, also when a runtime shuts down.
struct Worker {
    shared: Arc<Shared>,
    is_counted: bool,
    /// What it is writing.
    current: Option<(String, u64)>,
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
    /// nothing is written, and the store treats the session as one that was never in use.
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
                current: None,
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
    /// Writes until no acknowledgement waits.
    async fn run(mut self) {
        while let Some((session, generation)) = self.next() {
            // Should the runtime shut down meanwhile, or the store panic, it counts as not written.
            self.current = Some((session.clone(), generation));
            let written = self.shared.store.acknowledge(&session, generation).await;
            self.current = None;
            if written.is_err() {
                self.shared.seen.forget(&session, generation);
            }
        }
    }

    /// Takes the next acknowledgement to write. The worker decides under the lock whether to stop,
    /// so that no acknowledgement is left waiting without a worker.
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
        if let Some((session, generation)) = &self.current {
            self.shared.seen.forget(session, *generation);
        }
        if self.is_counted {
            self.shared.queue().workers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::{Acknowledger, MAX_WAITING, MAX_WRITES};
    use crate::session::{
        Created, EndSessions, EndedSession, Rotation, SessionLimit, SessionRecord, SessionStore,
        TimedStore,
    };
    use crate::store::StoreError;

    /// Counts acknowledgements, and can hang in them.
    #[derive(Debug, Clone, Default)]
    struct Counting {
        begun: Arc<AtomicU32>,
        hangs: bool,
    }

    impl SessionStore for Counting {
        async fn acknowledge(&self, _: &str, _: u64) -> Result<(), StoreError> {
            self.begun.fetch_add(1, Ordering::Relaxed);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        async fn create(
            &self,
            _: &SessionRecord,
            _: Option<SessionLimit>,
        ) -> Result<Created, StoreError> {
            Ok(Created::Full)
        }
        async fn rotate(&self, _: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
            Ok(None)
        }
        async fn list(&self, _: &str, _: u64) -> Result<Vec<SessionRecord>, StoreError> {
            Ok(Vec::new())
        }
        async fn end(&self, _: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
            Ok(Vec::new())
        }
        async fn clean_up(&self, _: u64, _: u32) -> Result<u64, StoreError> {
            Ok(0)
        }
    }

    fn acknowledger(store: &Counting) -> Acknowledger {
        let limit = Duration::from_secs(2);
        Acknowledger::new(TimedStore::new(Arc::new(store.clone()), limit))
    }

    fn ids(count: u32) -> Vec<String> {
        (0..count)
            .map(|number| format!("session {number}"))
            .collect()
    }

    async fn until_idle(acknowledger: &Acknowledger) {
        while acknowledger.shared.queue().workers > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_session_in_use_costs_one_write_per_generation() {
        for sessions in [1, 10_000, 100_000] {
            let store = Counting::default();
            let acknowledger = acknowledger(&store);
            let ids = ids(sessions);
            for _ in 0..20 {
                for part in ids.chunks(MAX_WAITING / 2) {
                    for id in part {
                        acknowledger.seen(id, 7);
                    }
                    until_idle(&acknowledger).await;
                }
            }
            let writes = f64::from(store.begun.load(Ordering::Relaxed)) / f64::from(sessions);
            assert!(
                (1.0..=1.1).contains(&writes),
                "{writes} writes for each of {sessions} sessions"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_leaves_few_tasks_and_entries() {
        let store = Counting {
            hangs: true,
            ..Counting::default()
        };
        let acknowledger = acknowledger(&store);
        for id in ids(150_000) {
            acknowledger.seen(&id, 0);
        }
        tokio::task::yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, MAX_WRITES);
        let waiting = acknowledger.shared.queue().waiting.len();
        assert!(waiting <= MAX_WAITING, "{waiting}");
        // Each is given up in the end.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(acknowledger.shared.queue().workers, 0);
        assert_eq!(store.begun.load(Ordering::Relaxed) as usize, MAX_WAITING);
    }

    #[test]
    fn workers_are_uncounted_when_their_runtime_ends() {
        let store = Counting {
            hangs: true,
            ..Counting::default()
        };
        let acknowledger = acknowledger(&store);
        for runtime in 0..3_u64 {
            let own = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            own.block_on(async {
                for number in 0..10 {
                    acknowledger.seen(&format!("{runtime} {number}"), 0);
                }
                tokio::task::yield_now().await;
                assert_eq!(acknowledger.shared.queue().workers, MAX_WRITES);
            });
            drop(own);
            assert_eq!(acknowledger.shared.queue().workers, 0);
            if runtime == 0 {
                // What was being written is news again; the others still wait.
                let seen = &acknowledger.shared.seen;
                let news = (0..10).filter(|number| seen.is_news(&format!("0 {number}"), 0));
                assert_eq!(news.count(), MAX_WRITES);
            }
        }
    }
}
