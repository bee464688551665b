//! [`Looks`]: checks the file for changes, one check at a time, however many requests wait for the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::inner::Inner;
use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// The time for which a request waits for a check, and after which a check counts as hanging.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);
/// The most requests that may wait at once; further ones are answered with 503.
const MAX_WAITING: usize = 1024;
/// How often forged tokens with a known key id can cause a check.
const KNOWN_KEY_EVERY: Duration = Duration::from_secs(1);

/// The checks of a ring's file for changes.
///
/// Anybody can cause a check with a made-up `kid`, and a disk that hangs makes it last forever. So a check
/// does not belong to the request that caused it. At most one runs at a time, and requests wait for it in
/// their own tasks, which leave nothing behind when they are dropped.
pub(super) struct Looks {
    state: watch::Sender<State>,
    places: Semaphore,
}

/// The numbers of the checks that have begun and ended. They are numbered from one.
#[derive(Default)]
struct State {
    begun: u64,
    ended: u64,
    /// When the running check began, if one is running.
    running: Option<Instant>,
    /// When the last check began.
    last: Option<Instant>,
}

/// The running check. It counts as ended when this value is dropped, for whatever reason.
struct Look {
    inner: Arc<Inner>,
    is_done: bool,
}

/// Checks whether the file has changed. The check begins after the call, so it sees the current content.
pub(super) async fn look(inner: &Arc<Inner>) {
    let mut looks = inner.looks.state.subscribe();
    // A check that is already running may have read the file before the change.
    let needed = looks.borrow().begun + 1;
    while looks.borrow().ended < needed {
        Look::begin(inner);
        let ended = looks.wait_for(|looks| looks.ended >= needed || looks.running.is_none());
        if ended.await.is_err() {
            return;
        }
    }
}

/// Checks for a request whether the file has changed. The request does not wait long. For a known key, a
/// check within the last second suffices.
pub(super) async fn look_now(inner: &Arc<Inner>, is_known: bool) -> Result<(), AuthError> {
    if is_known && !inner.looks.hang() && inner.looks.has_just_looked() {
        return match inner.reading_problem() {
            None => Ok(()),
            problem => Err(cannot_be_used(problem)),
        };
    }
    let Ok(_place) = inner.looks.places.try_acquire() else {
        return Err(unavailable(
            "too many requests wait for the file of the key ring",
        ));
    };
    // If the disk hangs, waiting is pointless.
    if inner.looks.hang() || tokio::time::timeout(MAX_WAIT, look(inner)).await.is_err() {
        inner.log();
        return Err(cannot_be_used(inner.reading_problem()));
    }
    match inner.reading_problem() {
        None => Ok(()),
        // The key may be in the file that could not be read.
        problem => Err(cannot_be_used(problem)),
    }
}

fn cannot_be_used(problem: Option<ConfigError>) -> AuthError {
    match problem {
        Some(problem) => {
            unavailable("the file of the key ring cannot be used").with_source(problem)
        }
        None => unavailable("the file of the key ring was not read in time"),
    }
}

fn unavailable(why: &'static str) -> AuthError {
    AuthError::new(AuthErrorKind::Unavailable).because(why)
}

// === impl Looks ===

impl Looks {
    /// Whether the running check has taken so long that it may never end.
    pub(super) fn hang(&self) -> bool {
        let running = self.state.borrow().running;
        running.is_some_and(|since| since.elapsed() >= MAX_WAIT)
    }

    fn has_just_looked(&self) -> bool {
        let state = self.state.borrow();
        let is_recent = |last: Instant| last.elapsed() < KNOWN_KEY_EVERY;
        state.running.is_none() && state.last.is_some_and(is_recent)
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            state: watch::Sender::default(),
            places: Semaphore::new(MAX_WAITING),
        }
    }
}

// === impl Look ===

impl Look {
    /// Begins a check, unless one is running.
    fn begin(inner: &Arc<Inner>) {
        let mut begins = false;
        inner.looks.state.send_if_modified(|looks| {
            begins = looks.running.is_none();
            if begins {
                looks.begun += 1;
                looks.running = Some(Instant::now());
                looks.last = looks.running;
            }
            false // the requests that wait need not wake up when a check begins
        });
        if begins {
            let look = Self {
                inner: Arc::clone(inner),
                is_done: false,
            };
            // If the runtime ends before this runs, `look` is dropped, so the check counts as ended.
            tokio::task::spawn_blocking(move || look.run());
        }
    }

    fn run(mut self) {
        let _ = self.inner.reload(); // it records its error
        self.is_done = true;
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if !self.is_done {
            let why = "the file of the key ring was not read: the thread that reads it was stopped";
            let stopped = ConfigError::Invalid(why.to_owned());
            self.inner.problems.set_reading::<()>(&Err(stopped));
        }
        self.inner.looks.state.send_modify(|looks| {
            looks.ended = looks.begun;
            looks.running = None;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{KNOWN_KEY_EVERY, Looks};

    #[test]
    fn tokens_with_a_known_key_cause_at_most_one_check_per_second() {
        let looks = Looks::default();
        assert!(!looks.has_just_looked());
        let began = |ago| {
            let last = Instant::now().checked_sub(ago);
            looks.state.send_modify(|state| state.last = last);
        };
        began(KNOWN_KEY_EVERY / 1_000);
        // If the machine stalls for a second in between, the check is too old.
        let start = Instant::now();
        let has_looked = looks.has_just_looked();
        assert!(has_looked || start.elapsed() > KNOWN_KEY_EVERY / 2);
        looks
            .state
            .send_modify(|state| state.running = Some(Instant::now()));
        assert!(
            !looks.has_just_looked(),
            "a running check may have read the file before the change"
        );
        looks.state.send_modify(|state| state.running = None);
        began(KNOWN_KEY_EVERY);
        assert!(!looks.has_just_looked());
    }
}
