//! [`Queue`]: what waits to be written, and how many workers write it. It is bounded, and starts no worker
//! itself.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Reports that wait, and the number of workers that take them.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    most_waiting: usize,
    most_workers: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    workers: usize,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    /// Whether it waits. Otherwise there was no room.
    pub(super) is_kept: bool,
    /// Whether the caller must start a worker. It is counted already.
    pub(super) needs_worker: bool,
}

// === impl Queue ===

impl<T> Queue<T> {
    pub(super) fn new(most_waiting: usize, most_workers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                workers: 0,
            }),
            most_waiting,
            most_workers,
        }
    }

    /// Adds a report if there is room. A full queue without workers also needs one: the runtime that they
    /// ran on may have ended.
    pub(super) fn add(&self, report: T) -> Added {
        let mut state = self.state();
        let is_kept = state.waiting.len() < self.most_waiting;
        if is_kept {
            state.waiting.push_back(report);
        }
        let needs_worker = state.workers < self.most_workers;
        state.workers += usize::from(needs_worker);
        Added {
            is_kept,
            needs_worker,
        }
    }

    /// Takes the next report. If there is none, the worker is no longer counted and must stop: this is
    /// decided together, so that no report is left waiting without a worker.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.workers -= 1;
        }
        next
    }

    /// Stops counting a worker that has stopped although reports may still wait.
    pub(super) fn worker_stopped(&self) {
        self.state().workers -= 1;
    }

    /// Returns the number of workers, and of reports that wait.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.workers, state.waiting.len())
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
