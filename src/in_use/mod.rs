//! [`Reporter`]: reports to a store, in the background, what is in use: the generation of a session, or
//! the minute of an API key.

mod queue;
mod seen;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use crate::store::StoreError;
use queue::Queue;
use seen::SeenNumbers;

/// The largest number of writes that run at once.
pub(crate) const MAX_WRITES: usize = if cfg!(all(test, loom)) { 1 } else { 4 };
/// The largest number of reports that wait to be written. Further ones are dropped; the next use
/// makes them again.
pub(crate) const MAX_WAITING: usize = if cfg!(all(test, loom)) { 1 } else { 4096 };

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
    queue: Queue<(String, u64)>,
}

/// A counted worker. It is dropped with its task, even when the runtime shuts down.
struct Worker<S> {
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
                queue: Queue::new(MAX_WAITING, MAX_WRITES),
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
        if let Some(worker) = self.shared.add(id, number) {
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
    /// Adds a report, or makes it news again if there is no room. Returns a worker if one must be started.
    fn add(self: &Arc<Self>, id: &str, number: u64) -> Option<Worker<S>> {
        let added = self.queue.add((id.to_owned(), number));
        if !added.is_kept {
            self.seen.forget(id, number);
        }
        added.needs_worker.then(|| Worker {
            shared: Arc::clone(self),
            is_counted: true,
            current: None,
        })
    }
}

// === impl Worker ===

impl<S: Reports> Worker<S> {
    /// Writes until no report waits.
    async fn run(mut self) {
        while let Some((id, number)) = self.begin() {
            let written = self.shared.store.report(&id, number).await;
            self.end(written.is_ok());
        }
    }
}

impl<S> Worker<S> {
    /// Takes the next report to write. If the runtime shuts down meanwhile, or the store panics, the report
    /// counts as not written.
    fn begin(&mut self) -> Option<(String, u64)> {
        self.current = self.shared.queue.next();
        self.is_counted = self.current.is_some();
        self.current.clone()
    }

    /// Ends the current report. If it was not written, the next use makes it again.
    fn end(&mut self, is_written: bool) {
        if let Some((id, number)) = self.current.take()
            && !is_written
        {
            self.shared.seen.forget(&id, number);
        }
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.end(false);
        if self.is_counted {
            self.shared.queue.worker_stopped();
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
        while reporter.shared.queue.counts().0 > 0 {
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
        let (_, waiting) = reporter.shared.queue.counts();
        assert!(waiting <= MAX_WAITING, "{waiting}");
        // Every write ends by its timeout.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(reporter.shared.queue.counts().0, 0);
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
                assert_eq!(reporter.shared.queue.counts().0, MAX_WRITES);
            });
            drop(own);
            assert_eq!(reporter.shared.queue.counts().0, 0);
            if runtime == 0 {
                // The reports that were being written are news again. The others still wait.
                let seen = &reporter.shared.seen;
                let news = (0..10).filter(|number| seen.is_news(&format!("0 {number}"), 0));
                assert_eq!(news.count(), MAX_WRITES);
            }
        }
    }

    #[tokio::test]
    async fn a_queue_that_a_runtime_left_full_is_written_by_the_next() {
        let store = Counting::default();
        let reporter = Reporter::new(store.clone());
        let first = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let entered = first.enter();
        for id in ids(MAX_WAITING as u32 + 10) {
            reporter.seen(&id, 0); // nothing drives this runtime
        }
        drop(entered);
        first.shutdown_background();
        assert_eq!(reporter.shared.queue.counts(), (0, MAX_WAITING));
        reporter.seen("one more", 0);
        until_idle(&reporter).await;
        assert_eq!(reporter.shared.queue.counts(), (0, 0));
        reporter.seen("one more", 0);
        until_idle(&reporter).await;
        assert_eq!(
            store.begun.load(Ordering::Relaxed) as usize,
            MAX_WAITING + 1
        );
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::Arc;

    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::{MAX_WAITING, MAX_WRITES, Queue, SeenNumbers, Shared, Worker};

    /// Remembers the largest number that was written.
    type Store = AtomicU64;

    fn shared() -> Arc<Shared<Store>> {
        Arc::new(Shared {
            store: Store::new(0),
            seen: SeenNumbers::new(),
            queue: Queue::new(MAX_WAITING, MAX_WRITES),
        })
    }

    /// What a request does, except that the worker runs in its thread.
    fn seen(shared: &Arc<Shared<Store>>, number: u64, is_written: bool) {
        if shared.seen.is_news("a", number)
            && let Some(worker) = shared.add("a", number)
        {
            run(worker, is_written);
        }
    }

    fn run(mut worker: Worker<Store>, is_written: bool) {
        while let Some((_, number)) = worker.begin() {
            if is_written {
                worker.shared.store.fetch_max(number, Ordering::SeqCst);
            }
            worker.end(is_written);
        }
    }

    fn both(first: impl FnOnce() + Send + 'static, second: impl FnOnce() + Send + 'static) {
        let first = thread::spawn(first);
        let second = thread::spawn(second);
        first.join().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn the_latest_number_is_written_or_news_again() {
        loom::model(|| {
            let shared = shared();
            let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
            both(move || seen(&one, 1, true), move || seen(&other, 2, true));
            assert_eq!(shared.queue.counts(), (0, 0), "nothing is left behind");
            let written = shared.store.load(Ordering::SeqCst);
            assert!(written == 2 || shared.seen.is_news("a", 2), "{written}");
        });
    }

    #[test]
    fn a_number_that_was_not_written_is_news_again() {
        loom::model(|| {
            let shared = shared();
            let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
            both(move || seen(&one, 1, false), move || seen(&other, 2, false));
            assert_eq!(shared.queue.counts(), (0, 0));
            assert!(shared.seen.is_news("a", 2));
        });
    }

    #[test]
    fn a_worker_that_is_broken_off_leaves_its_place_to_another() {
        loom::model(|| {
            let shared = shared();
            let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
            let broken_off = move || {
                if one.seen.is_news("a", 1)
                    && let Some(mut worker) = one.add("a", 1)
                {
                    worker.begin();
                    drop(worker); // with its runtime, in the middle of a write
                }
            };
            both(broken_off, move || seen(&other, 2, true));
            let (workers, _) = shared.queue.counts();
            assert_eq!(workers, 0);
            // What still waits is written at the next use, and what found no room then at the one after.
            seen(&shared, 3, true);
            seen(&shared, 3, true);
            assert_eq!(shared.queue.counts(), (0, 0));
            assert_eq!(shared.store.load(Ordering::SeqCst), 3);
        });
    }
}
