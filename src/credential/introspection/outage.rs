//! [`Outage`]: after failures, the server is not asked for a while, and then by one request at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, as_micros, unix_micros};
use crate::jwks::chance;

const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause. It can be short, because only one request is sent after each pause.
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// The shortest pause after jitter.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest `Retry-After` of the server that is obeyed.
const MAX_ASKED_FOR: Duration = Duration::from_secs(60);
/// How many unusable answers in a row count as an outage. A single one may be caused by the token that was
/// asked about, and a client with such a token must not be able to lock out others.
const STRIKES: u32 = 3;

/// Whether the server can be asked now.
#[derive(Debug)]
pub(super) struct Outage {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of unusable answers since the last usable one.
    strikes: u32,
    /// The number of pauses since then; zero if the server is available.
    failures: u32,
    /// The beginning of the current pause, which lasts until `until`, in microseconds.
    since: u64,
    until: u64,
    /// Whether a request is checking if the server is back.
    is_probed: bool,
}

/// The way in which an attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// There was no answer.
    NoAnswer,
    /// There was an answer that cannot be used.
    BadAnswer,
    /// The server is available, but refuses to be asked about this token.
    OfToken,
}

/// The permission to ask once. If it is dropped without a result, the attempt counts as failed.
pub(super) struct Attempt<'o> {
    outage: &'o Outage,
    /// The number of failures when the attempt began.
    seen: u32,
    is_probe: bool,
    is_over: bool,
}

// === impl Outage ===

impl Outage {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Begins an attempt. Fails with the time after which to try again.
    pub(super) fn begin(&self) -> Result<Attempt<'_>, Duration> {
        let mut state = self.state();
        if let Some(left) = state.left(self.now()) {
            return Err(left);
        }
        let is_probe = state.failures > 0;
        state.is_probed = is_probe;
        Ok(Attempt {
            outage: self,
            seen: state.failures,
            is_probe,
            is_over: false,
        })
    }

    /// Whether the server is known to be down, and no request is checking if it is back.
    pub(super) fn has_begun(&self) -> bool {
        let state = self.state();
        !state.is_probed && state.left(self.now()).is_some()
    }

    /// Returns the rest of the pause, or `None` if the server may be asked.
    #[cfg(test)]
    fn left(&self) -> Option<Duration> {
        self.state().left(self.now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        unix_micros(self.clock.now())
    }
}

// === impl State ===

impl State {
    fn left(&self, now: u64) -> Option<Duration> {
        // A pause does not get longer if the clock is set back.
        if self.failures > 0 && self.since <= now && now < self.until {
            return Some(Duration::from_micros(self.until - now));
        }
        self.is_probed.then_some(MIN_BACKOFF)
    }

    /// Begins a pause, with full jitter, because all nodes notice the outage at the same moment.
    fn failed(&mut self, now: u64, asked_for: Option<Duration>, chance: f64) {
        let longest = MIN_BACKOFF
            .saturating_mul(1 << self.failures.min(8))
            .min(MAX_BACKOFF);
        let drawn = longest.mul_f64(chance).max(SHORTEST_BACKOFF);
        let asked_for = asked_for.unwrap_or_default().min(MAX_ASKED_FOR);
        self.failures = self.failures.saturating_add(1);
        self.since = now;
        self.until = now.saturating_add(as_micros(drawn.max(asked_for)));
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    pub(super) fn succeeded(mut self) {
        self.is_over = true;
        *self.outage.state() = State::default();
    }

    /// Records the failure, and returns the time after which to try again. `asked_for` is the server's
    /// `Retry-After`.
    pub(super) fn failed(mut self, severity: Severity, asked_for: Option<Duration>) -> Duration {
        self.is_over = true;
        self.note(severity, asked_for)
    }

    fn note(&self, severity: Severity, asked_for: Option<Duration>) -> Duration {
        let now = self.outage.now();
        let mut state = self.outage.state();
        if self.is_probe {
            state.is_probed = false;
        }
        if severity == Severity::OfToken {
            if self.is_probe {
                *state = State::default();
            }
            return MIN_BACKOFF;
        }
        // If other attempts have failed since this one began, the outage is already recorded.
        if state.failures == self.seen {
            let before = state.failures;
            state.strikes = state.strikes.saturating_add(1);
            let is_outage = severity == Severity::NoAnswer
                || asked_for.is_some()
                || self.is_probe
                || state.strikes >= STRIKES;
            if is_outage {
                state.failed(now, asked_for, chance());
                if self.is_probe && severity == Severity::BadAnswer {
                    // It may be caused by the token of the probe, so the pause does not get longer.
                    state.failures = before;
                }
            }
        }
        state.left(now).unwrap_or_default().max(MIN_BACKOFF)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.note(Severity::NoAnswer, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, MAX_ASKED_FOR, MAX_BACKOFF, Outage, STRIKES, Severity};
    use crate::clock::ManualClock;
    use std::sync::Arc;
    use std::time::Duration;

    fn outage() -> (Outage, ManualClock) {
        let clock = ManualClock::at_unix_seconds(1000);
        (Outage::new(Arc::new(clock.clone())), clock)
    }

    fn fails(attempt: Attempt<'_>) {
        attempt.failed(Severity::NoAnswer, None);
    }

    #[test]
    fn a_refusal_of_one_token_does_not_count_and_ends_an_outage() {
        let (outage, clock) = outage();
        for _ in 0..10 * STRIKES {
            outage.begin().unwrap().failed(Severity::OfToken, None);
        }
        fails(outage.begin().unwrap());
        assert!(outage.begin().is_err());
        clock.advance(MAX_BACKOFF);
        // The server is back, whatever it says about the token of the probe.
        outage.begin().unwrap().failed(Severity::OfToken, None);
        let (_one, _other) = (outage.begin().unwrap(), outage.begin().unwrap());
    }

    #[test]
    fn unusable_answers_to_probes_do_not_make_pauses_longer() {
        let (outage, clock) = outage();
        fails(outage.begin().unwrap());
        for _ in 0..8 {
            clock.advance(MAX_BACKOFF);
            outage.begin().unwrap().failed(Severity::BadAnswer, None);
            assert_eq!(outage.state().failures, 1);
        }
    }

    #[test]
    fn a_server_that_is_down_is_asked_by_one_request_at_a_time() {
        let (outage, clock) = outage();
        let (one, other) = (outage.begin().unwrap(), outage.begin().unwrap());
        fails(one);
        fails(other);
        assert_eq!(outage.state().failures, 1, "concurrent failures count once");
        assert!(outage.begin().is_err());
        clock.advance(Duration::from_secs(1));
        let probe = outage.begin().unwrap();
        assert!(
            outage.begin().is_err(),
            "the first attempt is still running"
        );
        fails(probe);
        assert!(outage.left().is_some());
        clock.advance(Duration::from_secs(2));
        outage.begin().unwrap().succeeded();
        assert!(outage.left().is_none());
        drop((outage.begin().unwrap(), outage.begin().unwrap()));
    }

    #[test]
    fn pauses_get_longer_up_to_15_seconds() {
        let (outage, clock) = outage();
        for longest in [1, 2, 4, 8, 15, 15, 15] {
            fails(outage.begin().unwrap());
            let left = outage.left().unwrap();
            assert!(left <= Duration::from_secs(longest), "{left:?}");
            assert!(left <= MAX_BACKOFF);
            clock.advance(left);
        }
    }

    #[test]
    fn one_unusable_answer_is_no_outage_but_three_in_a_row_are() {
        let (outage, _) = outage();
        let bad = || outage.begin().unwrap().failed(Severity::BadAnswer, None);
        for _ in 0..10 {
            (1..STRIKES).for_each(|_| assert_eq!(bad(), Duration::from_secs(1)));
            outage.begin().unwrap().succeeded();
        }
        for _ in 0..STRIKES {
            bad();
        }
        assert!(outage.begin().is_err());
    }

    #[test]
    fn the_retry_after_of_the_server_is_obeyed_within_bounds() {
        for (asked, expected) in [(30, 30), (86_400, MAX_ASKED_FOR.as_secs())] {
            let (outage, _) = outage();
            let attempt = outage.begin().unwrap();
            attempt.failed(Severity::BadAnswer, Some(Duration::from_secs(asked)));
            assert_eq!(outage.left(), Some(Duration::from_secs(expected)));
        }
    }

    #[test]
    fn a_dropped_attempt_fails_and_a_clock_set_back_ends_a_pause() {
        let (outage, clock) = outage();
        drop(outage.begin().unwrap());
        assert!(outage.begin().is_err());
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(10));
        drop(outage.begin().unwrap());
        assert!(!outage.state().is_probed);
    }
}
