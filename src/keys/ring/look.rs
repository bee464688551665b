//! [`Looks`]: the file is looked at by one thread at a time, however many wait for the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::inner::Inner;
use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// How long a request waits for a look at the file, and when a look counts as one that hangs.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);
/// How many requests wait at once; more are answered with 503.
const MAX_WAITING: usize = 1024;
/// How often forged tokens of a known key cause a look.
const KNOWN_KEY_EVERY: Duration = Duration::from_secs(1);

/// The looks at the file of a ring.
///
/// Anybody can cause one by a token with a made-up `kid`, and a disk that does not answer makes it
/// last for ever. So a look belongs to nobody who asks: there is at most one, those who ask wait for
/// it in their own tasks, and nothing is left of them when they are dropped.
pub(super) struct Looks {
    state: watch::Sender<State>,
    places: Semaphore,
}

/// Looks are numbered from one.
#[derive(Default)]
struct State {
    begun: u64,
    ended: u64,
    /// Since when one runs.
    running: Option<Instant>,
    /// When the last one began.
    last: Option<Instant>,
}

/// The look that runs. It has ended when the value is dropped, however that comes about.
struct Look {
    inner: Arc<Inner>,
    is_done: bool,
}

/// Looks whether the file has changed. The look begins after the call: it sees what is there now.
pub(super) async fn look(inner: &Arc<Inner>) {
    let mut looks = inner.looks.state.subscribe();
    // One that runs may have read the file already.
    let needed = looks.borrow().begun + 1;
    while looks.borrow().ended < needed {
        Look::begin(inner);
        let ended = looks.wait_for(|looks| looks.ended >= needed || looks.running.is_none());
        if ended.await.is_err() {
            return;
        }
    }
}

/// Looks whether the file has changed, for a request, which does not wait long. Where it asks for a
/// known key, a look of the last second will do.
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
    // Where the disk has not answered for so long, there is nothing to wait for.
    if inner.looks.hang() || tokio::time::timeout(MAX_WAIT, look(inner)).await.is_err() {
        inner.log();
        return Err(cannot_be_used(inner.reading_problem()));
    }
    match inner.reading_problem() {
        None => Ok(()),
        // The key may be in there.
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
    /// Whether the one that runs has run for so long that it may never end.
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
    /// Begins one, unless one runs.
    fn begin(inner: &Arc<Inner>) {
        let mut begins = false;
        inner.looks.state.send_if_modified(|looks| {
            begins = looks.running.is_none();
            if begins {
                looks.begun += 1;
                looks.running = Some(Instant::now());
                looks.last = looks.running;
            }
            false // that one begins is no news for those who wait
        });
        if begins {
            let look = Self {
                inner: Arc::clone(inner),
                is_done: false,
            };
            // Forgotten where the runtime ends before it has begun: then it is dropped.
            tokio::task::spawn_blocking(move || look.run());
        }
    }

    fn run(mut self) {
        let _ = self.inner.reload(); // remembered there
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
    fn tokens_of_a_known_key_cause_a_look_once_in_a_second() {
        let looks = Looks::default();
        assert!(!looks.has_just_looked());
        let began = |ago| {
            let last = Instant::now().checked_sub(ago);
            looks.state.send_modify(|state| state.last = last);
        };
        began(KNOWN_KEY_EVERY / 1_000);
        // A machine that stands still for a second in between makes it old.
        let start = Instant::now();
        let has_looked = looks.has_just_looked();
        assert!(has_looked || start.elapsed() > KNOWN_KEY_EVERY / 2);
        looks
            .state
            .send_modify(|state| state.running = Some(Instant::now()));
        assert!(
            !looks.has_just_looked(),
            "one that runs may have read the file before"
        );
        looks.state.send_modify(|state| state.running = None);
        began(KNOWN_KEY_EVERY);
        assert!(!looks.has_just_looked());
    }
}
