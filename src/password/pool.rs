//! The threads that hash passwords: their number, their queue and their memory are limited.
//!
//! No runtime is needed: the workers, and the thread that ends long waits, are plain threads. They start at
//! the first job and end when the pool is dropped.

use std::collections::VecDeque;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ::argon2::Block;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::password::error::PasswordError;

/// Runs jobs. If a caller goes away before its job starts, the job leaves the queue. If it goes away later,
/// the job runs to its end.
pub(super) struct Pool(Arc<Shared>);

/// Work that needs a number of memory blocks.
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
    /// The memory blocks of all workers together.
    pub(super) blocks: usize,
    /// The memory blocks that are kept for the next job of a worker.
    pub(super) kept: usize,
}

/// The memory of one hash. It is kept for the next job, because fresh memory from the operating system costs
/// more than half as much again: 30 ms instead of 17 ms at 19 MiB, and 113 ms instead of 71 ms at 64 MiB (2
/// passes). An allocator may hide that for the smaller size, but does not guarantee it.
#[derive(Default)]
pub(super) struct Scratch(Zeroizing<Vec<Block>>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Wakes the workers: there may be a job to start.
    ready: Condvar,
    /// Wakes the thread that ends waits: the queue is no longer empty.
    tick: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waiting>,
    spare: Vec<Scratch>,
    running: usize,
    /// The memory blocks that running jobs may use.
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
    run: Box<Run>,
}

type Run = dyn FnOnce(Result<&mut Scratch, PasswordError>) -> Reply + Send;

/// Sends the result to the caller.
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

    /// Returns the memory blocks of all jobs together.
    pub(super) fn budget_blocks(&self) -> usize {
        self.0.limits.blocks
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

    /// Queues a job. It is skipped if the returned value is dropped before it starts.
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
    /// Returns `count` blocks. Their content is arbitrary.
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

    /// Overwrites what the last hash left behind, with which a password could be guessed cheaply. Plain
    /// writes take a thirtieth of the time of a hash, volatile ones twice that.
    fn wipe(&mut self) {
        self.0.iter_mut().for_each(|block| block.as_mut().fill(0));
        black_box(&mut self.0);
    }
}

// === impl Shared ===

impl Shared {
    /// A job that panics does so outside the lock, so the state is always consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that there are threads for one more job.
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

    /// Runs a worker until the pool is dropped.
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
                // Only now, so that a caller who has the result finds the worker free. The caller of a job
                // that panicked has seen its sender dropped.
                if let Ok(reply) = reply {
                    let _ = catch_unwind(AssertUnwindSafe(reply));
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

    /// Runs the thread that refuses the jobs that have waited too long. All may wait equally long, so the
    /// first in the queue is always the first to go.
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
                    let refuse = || (late.run)(Err(self.limits.overloaded()))();
                    let _ = catch_unwind(AssertUnwindSafe(refuse));
                }
                // It may have been the job whose need of memory held up the others.
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
    /// Returns the next job and its memory, unless it must wait for memory. No job overtakes another.
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
mod tests;
