//! The threads that hash: a bounded number of them, a bounded queue, a bounded amount of memory.
//!
//! No runtime is needed: workers and the clock that ends a wait are plain threads, started at
//! the first job and gone when the pool is dropped.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ::argon2::Block;
use tokio::sync::oneshot;
use zeroize::{Zeroize, Zeroizing};

use crate::password::error::PasswordError;

/// Runs jobs. A job belongs to the pool: a caller who goes away before it starts takes it out of
/// the queue; one who goes away later frees nothing until it is done.
pub(super) struct Pool(Arc<Shared>);

/// Work that needs so many memory blocks.
pub(super) struct Job<T> {
    pub(super) blocks: usize,
    pub(super) work: Box<Work<T>>,
}

type Work<T> = dyn FnOnce(&mut Scratch) -> Result<T, PasswordError> + Send;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) workers: usize,
    pub(super) queue: usize,
    pub(super) wait: Duration,
    /// Memory blocks for all workers together.
    pub(super) blocks: usize,
    /// Memory blocks that are kept for the next job of a worker.
    pub(super) kept: usize,
}

/// The memory of one hash. Kept from job to job, since fresh pages from the operating system
/// double the time of a 19 MiB hash (25.3 ms against 13.9 ms).
#[derive(Default)]
pub(super) struct Scratch(Zeroizing<Vec<Block>>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Wakes workers: there may be something to start.
    ready: Condvar,
    /// Wakes the clock: the queue is no longer empty.
    tick: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waiting>,
    spare: Vec<Scratch>,
    running: usize,
    /// Memory blocks that running jobs may use.
    leased: usize,
    workers: usize,
    idle: usize,
    has_clock: bool,
    clock_is_set: bool,
    closed: bool,
}

struct Waiting {
    blocks: usize,
    since: Instant,
    caller: Weak<()>,
    /// Takes the memory to work in, or the reason why the work is not done.
    run: Box<dyn FnOnce(Result<&mut Scratch, PasswordError>) -> Reply + Send>,
}

/// Hands the result to the caller.
type Reply = Box<dyn FnOnce() + Send>;

// === impl Pool ===

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::default(),
            ready: Condvar::new(),
            tick: Condvar::new(),
        }))
    }

    pub(super) async fn run<T: Send + 'static>(&self, job: Job<T>) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        let _here = self.submit(job, |result| drop(reply.send(result)))?;
        // A worker that panicked has dropped the sender.
        answer.await.unwrap_or(Err(PasswordError::Internal))
    }

    pub(super) fn run_blocking<T: Send + 'static>(&self, job: Job<T>) -> Result<T, PasswordError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let _here = self.submit(job, move |result| drop(reply.send(result)))?;
        answer.recv().unwrap_or(Err(PasswordError::Internal))
    }

    /// Queues a job; it is skipped if what is returned here is dropped before it starts.
    fn submit<T: Send + 'static>(
        &self,
        job: Job<T>,
        reply: impl FnOnce(Result<T, PasswordError>) + Send + 'static,
    ) -> Result<Arc<()>, PasswordError> {
        let (limits, mut state) = (self.0.limits, self.0.lock());
        if job.blocks > limits.blocks {
            return Err(PasswordError::CostTooHigh);
        }
        let places = limits.queue.saturating_add(limits.workers - state.running);
        if state.queue.len() >= places {
            state
                .queue
                .retain(|waiting| waiting.caller.strong_count() > 0);
        }
        if state.queue.len() >= places {
            return Err(limits.overloaded());
        }
        self.0.start_threads(&mut state)?;
        let here = Arc::new(());
        state.queue.push_back(Waiting {
            blocks: job.blocks,
            since: Instant::now(),
            caller: Arc::downgrade(&here),
            run: Box::new(move |turn| {
                let result = turn.and_then(job.work);
                Box::new(move || reply(result))
            }),
        });
        self.0.ready.notify_one();
        if !state.clock_is_set {
            state.clock_is_set = true;
            self.0.tick.notify_one();
        }
        Ok(here)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.queue.clear();
        state.spare.clear();
        self.0.ready.notify_all();
        self.0.tick.notify_all();
    }
}

// === impl Limits ===

impl Limits {
    fn overloaded(&self) -> PasswordError {
        PasswordError::Overloaded {
            retry_after: self.wait.max(Duration::from_secs(1)),
        }
    }
}

// === impl Scratch ===

impl Scratch {
    /// At least `count` blocks, with whatever they held before.
    pub(super) fn blocks(&mut self, count: usize) -> Result<&mut [Block], PasswordError> {
        if self.0.len() < count {
            let mut fresh = Vec::new();
            fresh
                .try_reserve_exact(count)
                .map_err(|_| PasswordError::Internal)?;
            fresh.resize(count, Block::new());
            self.0 = Zeroizing::new(fresh);
        }
        self.0.get_mut(..count).ok_or(PasswordError::Internal)
    }

    /// Overwrites what the last hash left, by which a password could be guessed cheaply.
    fn wipe(&mut self) {
        self.0.iter_mut().for_each(Block::zeroize);
    }
}

// === impl Shared ===

impl Shared {
    /// A job that panics does so outside the lock, so the state behind it is always whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that one more job finds its threads.
    fn start_threads(self: &Arc<Self>, state: &mut State) -> Result<(), PasswordError> {
        if !state.has_clock {
            self.start("password-clock", Self::end_waits)?;
            state.has_clock = true;
        }
        if state.queue.len() >= state.idle && state.workers < self.limits.workers {
            match self.start("password-hash", Self::work) {
                Ok(()) => state.workers += 1,
                Err(error) if state.workers == 0 => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, name: &str, body: fn(&Self)) -> Result<(), PasswordError> {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || body(&shared));
        thread.map(drop).map_err(|_| PasswordError::Internal)
    }

    /// The life of a worker.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            if let Some((job, mut scratch)) = state.take(self.limits) {
                drop(state);
                let reply = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(&mut scratch))));
                scratch.wipe();
                state = self.lock();
                state.finish(job.blocks, scratch, self.limits);
                if !state.queue.is_empty() {
                    self.ready.notify_all();
                }
                drop(state);
                // Only now, so that whoever has the answer finds the worker free. The caller of a
                // job that panicked has seen its answer dropped.
                if let Ok(reply) = reply {
                    reply();
                }
                state = self.lock();
            } else {
                state.idle += 1;
                state = self
                    .ready
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// The life of the clock: it turns away the jobs that waited too long. All wait equally long,
    /// so the first in the queue is always the first to go.
    fn end_waits(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(first) = state.queue.front() else {
                state.clock_is_set = false;
                state = self
                    .tick
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.limits.wait.saturating_sub(first.since.elapsed());
            if left.is_zero() {
                let late = state.queue.pop_front();
                drop(state);
                if let Some(late) = late {
                    (late.run)(Err(self.limits.overloaded()))();
                }
                // It may have been the one whose need of memory held up the rest.
                self.ready.notify_all();
                state = self.lock();
            } else {
                let waited = self.tick.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

// === impl State ===

impl State {
    /// The next job and its memory, unless it must wait for memory. None overtakes another.
    fn take(&mut self, limits: Limits) -> Option<(Waiting, Scratch)> {
        while self
            .queue
            .front()
            .is_some_and(|first| first.caller.strong_count() == 0)
        {
            self.queue.pop_front();
        }
        if self.leased + self.queue.front()?.blocks > limits.blocks {
            return None;
        }
        let job = self.queue.pop_front()?;
        self.running += 1;
        self.leased += job.blocks;
        let kept = (job.blocks <= limits.kept)
            .then(|| self.spare.pop())
            .flatten();
        while self.leased + self.spare.len() * limits.kept > limits.blocks {
            if self.spare.pop().is_none() {
                break;
            }
        }
        Some((job, kept.unwrap_or_default()))
    }

    fn finish(&mut self, blocks: usize, scratch: Scratch, limits: Limits) {
        self.running -= 1;
        self.leased -= blocks;
        if blocks <= limits.kept && !self.closed {
            self.spare.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    const LIMITS: Limits = Limits {
        workers: 1,
        queue: 8,
        wait: LONG,
        blocks: 100,
        kept: 10,
    };

    fn job<T>(
        blocks: usize,
        work: impl FnOnce(&mut Scratch) -> Result<T, PasswordError> + Send + 'static,
    ) -> Job<T> {
        Job {
            blocks,
            work: Box::new(work),
        }
    }

    /// A job that says when it starts and runs until it is told to end.
    fn gate(blocks: usize) -> (Job<()>, Receiver<()>, Sender<()>) {
        let ((started, has_started), (end, ended)) = (channel(), channel());
        let job = job(blocks, move |_| {
            let _ = started.send(());
            let _ = ended.recv();
            Ok(())
        });
        (job, has_started, end)
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn queued(pool: &Pool) -> usize {
        pool.0.lock().queue.len()
    }

    /// Waits, without a fixed pause, for what other threads do soon.
    fn soon(mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < LONG, "it did not come about");
            thread::yield_now();
        }
    }

    #[test]
    fn no_thread_runs_before_the_first_job() {
        let pool = Pool::new(LIMITS);
        assert_eq!(pool.0.lock().workers, 0);
        assert_eq!(pool.run_blocking(job(1, |_| Ok(7))), Ok(7));
        assert_eq!(pool.0.lock().workers, 1);
    }

    #[test]
    fn the_threads_end_with_the_pool() {
        let pool = Pool::new(Limits {
            workers: 3,
            ..LIMITS
        });
        let gates: Vec<_> = (0..3).map(|_| gate(1)).collect();
        let mut futures = Vec::new();
        let mut ends = Vec::new();
        for (job, started, end) in gates {
            let mut future = Box::pin(pool.run(job));
            assert!(poll_once(future.as_mut()).is_pending());
            started.recv_timeout(LONG).unwrap();
            futures.push(future);
            ends.push(end);
        }
        drop(futures);
        let shared = Arc::downgrade(&pool.0);
        drop(pool);
        drop(ends);
        soon(|| shared.strong_count() == 0);
    }

    #[test]
    fn jobs_start_in_the_order_of_their_coming() {
        let pool = Pool::new(LIMITS);
        let (first, started, end) = gate(1);
        let mut first = pin!(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        let (seen, order) = channel();
        let mut futures = Vec::new();
        for number in 0..5 {
            let seen = seen.clone();
            let mut future = Box::pin(pool.run(job(1, move |_| {
                let _ = seen.send(number);
                Ok(())
            })));
            assert!(poll_once(future.as_mut()).is_pending());
            futures.push(future);
        }
        end.send(()).unwrap();
        let order: Vec<i32> = (0..5).map(|_| order.recv_timeout(LONG).unwrap()).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_job_whose_caller_left_before_the_start_is_skipped() {
        let pool = Pool::new(LIMITS);
        let (first, started, end) = gate(1);
        let mut first = Box::pin(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        let (ran, has_run) = channel();
        let mut second = Box::pin(pool.run(job(1, move |_| {
            let _ = ran.send(());
            Ok(())
        })));
        assert!(poll_once(second.as_mut()).is_pending());
        drop(second);
        end.send(()).unwrap();
        assert_eq!(pool.run_blocking(job(1, |_| Ok(1))), Ok(1));
        assert!(has_run.recv_timeout(LONG).is_err());
    }

    #[test]
    fn a_job_whose_caller_left_while_it_ran_keeps_its_worker_and_its_memory() {
        let pool = Pool::new(Limits { queue: 0, ..LIMITS });
        let (first, started, end) = gate(60);
        let mut first = Box::pin(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        drop(first);
        assert_eq!(pool.0.lock().leased, 60);
        let refused = pool.run_blocking(job(1, |_| Ok(())));
        assert_eq!(
            refused,
            Err(PasswordError::Overloaded { retry_after: LONG })
        );
        end.send(()).unwrap();
        soon(|| pool.0.lock().running == 0);
        assert_eq!(pool.0.lock().leased, 0);
        assert_eq!(pool.run_blocking(job(1, |_| Ok(()))), Ok(()));
    }

    #[test]
    fn a_full_queue_turns_away_at_once_and_forgets_those_who_left() {
        let pool = Pool::new(Limits { queue: 1, ..LIMITS });
        let (first, started, end) = gate(1);
        let mut first = pin!(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        let mut second = Box::pin(pool.run(job(1, |_| Ok(()))));
        assert!(poll_once(second.as_mut()).is_pending());
        let third = pool.run_blocking(job(1, |_| Ok(())));
        assert_eq!(third, Err(PasswordError::Overloaded { retry_after: LONG }));
        drop(second);
        let mut fourth = Box::pin(pool.run(job(1, |_| Ok(()))));
        assert!(poll_once(fourth.as_mut()).is_pending());
        assert_eq!(queued(&pool), 1);
        drop(end);
    }

    #[test]
    fn a_wait_ends_after_max_wait() {
        let wait = Duration::from_millis(30);
        let pool = Pool::new(Limits { wait, ..LIMITS });
        let (first, started, end) = gate(1);
        let mut first = pin!(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        for _ in 0..2 {
            let begin = Instant::now();
            let late = pool.run_blocking(job(1, |_| Ok(())));
            let retry_after = Duration::from_secs(1);
            assert_eq!(late, Err(PasswordError::Overloaded { retry_after }));
            assert!(begin.elapsed() >= wait);
            assert_eq!(queued(&pool), 0);
        }
        drop(end);
    }

    #[test]
    fn a_longer_run_than_max_wait_is_not_cut_short() {
        let wait = Duration::from_millis(10);
        let pool = Pool::new(Limits { wait, ..LIMITS });
        let slow = job(1, move |_| {
            let start = Instant::now();
            while start.elapsed() < wait * 5 {
                thread::yield_now();
            }
            Ok(7)
        });
        assert_eq!(pool.run_blocking(slow), Ok(7));
    }

    #[test]
    fn a_panic_ends_one_job_and_no_worker() {
        let pool = Pool::new(LIMITS);
        for _ in 0..3 {
            let failed = pool.run_blocking::<()>(job(10, |_| panic!("on purpose")));
            assert_eq!(failed, Err(PasswordError::Internal));
        }
        soon(|| pool.0.lock().running == 0);
        assert_eq!(pool.run_blocking(job(1, |_| Ok(7))), Ok(7));
        let state = pool.0.lock();
        assert_eq!((state.workers, state.running, state.leased), (1, 0, 0));
    }

    #[test]
    fn memory_is_kept_wiped_for_the_next_job_and_larger_memory_is_given_back() {
        let pool = Pool::new(LIMITS);
        let address = |count: usize| {
            job(count, move |scratch| {
                let blocks = scratch.blocks(count)?;
                assert!(
                    blocks
                        .iter()
                        .all(|block| block.as_ref().iter().all(|word| *word == 0))
                );
                blocks.iter_mut().for_each(|block| block.as_mut().fill(7));
                Ok(blocks.as_ptr() as usize)
            })
        };
        let first = pool.run_blocking(address(10)).unwrap();
        assert_eq!(pool.run_blocking(address(10)), Ok(first));
        assert_eq!(pool.0.lock().spare.len(), 1);
        // 95 blocks leave no room in the budget for the 10 that are kept.
        pool.run_blocking(address(95)).unwrap();
        assert_eq!(pool.0.lock().spare.len(), 0);
    }

    #[test]
    fn jobs_together_never_use_more_than_the_budget() {
        let pool = Pool::new(Limits {
            workers: 3,
            ..LIMITS
        });
        let (first, started, end) = gate(60);
        let mut first = pin!(pool.run(first));
        assert!(poll_once(first.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        let (second, second_started, second_end) = gate(60);
        let mut second = pin!(pool.run(second));
        assert!(poll_once(second.as_mut()).is_pending());
        // Small enough to fit, but none overtakes the one before it.
        let (third, third_started, third_end) = gate(10);
        let mut third = pin!(pool.run(third));
        assert!(poll_once(third.as_mut()).is_pending());
        assert!(
            second_started
                .recv_timeout(Duration::from_millis(50))
                .is_err()
        );
        assert!(third_started.try_recv().is_err());
        end.send(()).unwrap();
        second_started.recv_timeout(LONG).unwrap();
        third_started.recv_timeout(LONG).unwrap();
        assert!(pool.0.lock().leased <= LIMITS.blocks);
        drop((second_end, third_end));
    }

    #[test]
    fn a_job_over_the_whole_budget_is_refused() {
        let pool = Pool::new(LIMITS);
        let refused = pool.run_blocking(job(101, |_| Ok(())));
        assert_eq!(refused, Err(PasswordError::CostTooHigh));
    }

    #[test]
    fn many_callers_share_a_few_workers() {
        let pool = Pool::new(Limits {
            workers: 3,
            queue: 100,
            ..LIMITS
        });
        thread::scope(|scope| {
            for number in 0..40 {
                let pool = &pool;
                scope.spawn(move || {
                    assert_eq!(pool.run_blocking(job(10, move |_| Ok(number))), Ok(number));
                });
            }
        });
        let state = pool.0.lock();
        assert!(state.workers <= 3 && state.queue.is_empty());
    }
}
