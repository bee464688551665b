//! [`Reporter`]: reports to a store, in the background, what is in use: the generation of a session, or
//! the minute of an API key.

mod seen;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::StoreError;
use seen::SeenNumbers;

/// The largest number of writes that run at once.
pub(crate) const MAX_WRITES: usize = 4;
/// The largest number of reports that wait to be written. Further ones are dropped; the next use
/// makes them again.
pub(crate) const MAX_WAITING: usize = 4096;

/// A store that takes reports. Each call must have a time limit.
pub(crate) trait Reports: Debug + Send + Sync + 'static {
    /// Writes that the session or key with this id was in use at this number. Later numbers are larger.
    fn report(&self, id: &str, number: u64) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Receives what is in use, and writes it to the store in the background, once per number.
///
/// A request never waits for a write. At most [`MAX_WRITES`] tasks exist, each write has a
/// timeout, and at most [`MAX_WAITING`] reports wait.
#[derive(Debug)]
pub(crate) struct Reporter<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    store: S,
    seen: SeenNumbers,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(String, u64)>,
    workers: usize,
}

/// A counted worker. It is dropped with its task, even when the runtime shuts down.
struct Worker<S: Reports> {
    shared: Arc<Shared<S>>,
    is_counted: bool,
    /// The report that it is writing.
    current: Option<(String, u64)>,
}

// === impl Reporter ===

impl<S: Reports> Reporter<S> {
    pub(crate) fn new(store: S) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                seen: SeenNumbers::new(),
                queue: Mutex::default(),
            }),
        }
    }

    /// Notes that this id is in use, at this number, which must be below 2^24. Outside a Tokio runtime
    /// nothing is written, and the next use makes the report again.
    pub(crate) fn seen(&self, id: &str, number: u64) {
        if !self.shared.seen.is_news(id, number) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.shared.seen.forget(id, number);
            return;
        };
        let mut queue = self.shared.queue();
        if queue.waiting.len() >= MAX_WAITING {
            drop(queue);
            self.shared.seen.forget(id, number);
            return;
        }
        queue.waiting.push_back((id.to_owned(), number));
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

impl<S> Clone for Reporter<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

// === impl Shared ===

impl<S> Shared<S> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Worker ===

impl<S: Reports> Worker<S> {
    /// Writes until no report waits.
    async fn run(mut self) {
        while let Some((id, number)) = self.next() {
            // If the runtime shuts down meanwhile, or the store panics, the report counts as not written.
            self.current = Some((id.clone(), number));
            let written = self.shared.store.report(&id, number).await;
            self.current = None;
            if written.is_err() {
                self.shared.seen.forget(&id, number);
            }
        }
    }

    /// Takes the next report to write. The worker decides under the lock whether to stop, so that no
    /// report is left waiting without a worker.
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

impl<S: Reports> Drop for Worker<S> {
    fn drop(&mut self) {
        if let Some((id, number)) = &self.current {
            self.shared.seen.forget(id, *number);
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

    use super::{MAX_WAITING, MAX_WRITES, Reporter, Reports};
    use crate::store::{StoreError, in_time};

    /// Counts reports, and can hang in them.
    #[derive(Debug, Clone, Default)]
    struct Counting {
        begun: Arc<AtomicU32>,
        hangs: bool,
    }

    impl Reports for Counting {
        async fn report(&self, _: &str, _: u64) -> Result<(), StoreError> {
            in_time(Duration::from_secs(2), async {
                self.begun.fetch_add(1, Ordering::Relaxed);
                if self.hangs {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
            .await
        }
    }

    fn ids(count: u32) -> Vec<String> {
        (0..count)
            .map(|number| format!("session {number}"))
            .collect()
    }

    async fn until_idle(reporter: &Reporter<Counting>) {
        while reporter.shared.queue().workers > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_session_in_use_costs_one_write_per_generation() {
        for sessions in [1, 10_000, 100_000] {
            let store = Counting::default();
            let reporter = Reporter::new(store.clone());
            let ids = ids(sessions);
            for _ in 0..20 {
                for part in ids.chunks(MAX_WAITING / 2) {
                    for id in part {
                        reporter.seen(id, 7);
                    }
                    until_idle(&reporter).await;
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
        let reporter = Reporter::new(store.clone());
        for id in ids(150_000) {
            reporter.seen(&id, 0);
        }
        tokio::task::yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, MAX_WRITES);
        let waiting = reporter.shared.queue().waiting.len();
        assert!(waiting <= MAX_WAITING, "{waiting}");
        // Every write ends by its timeout.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(reporter.shared.queue().workers, 0);
        assert_eq!(store.begun.load(Ordering::Relaxed) as usize, MAX_WAITING);
    }

    #[test]
    fn workers_are_uncounted_when_their_runtime_ends() {
        let store = Counting {
            hangs: true,
            ..Counting::default()
        };
        let reporter = Reporter::new(store.clone());
        for runtime in 0..3_u64 {
            let own = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            own.block_on(async {
                for number in 0..10 {
                    reporter.seen(&format!("{runtime} {number}"), 0);
                }
                tokio::task::yield_now().await;
                assert_eq!(reporter.shared.queue().workers, MAX_WRITES);
            });
            drop(own);
            assert_eq!(reporter.shared.queue().workers, 0);
            if runtime == 0 {
                // The reports that were being written are news again. The others still wait.
                let seen = &reporter.shared.seen;
                let news = (0..10).filter(|number| seen.is_news(&format!("0 {number}"), 0));
                assert_eq!(news.count(), MAX_WRITES);
            }
        }
    }
}
