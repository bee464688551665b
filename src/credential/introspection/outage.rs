//! [`Outage`]: after failures the server is left alone for a while, and then asked by one request alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, as_micros, unix_micros};
use crate::jwks::chance;

const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// Short, because no more than one request is sent in this time.
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// However lucky the draw, a server that is down is not asked more often.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest `Retry-After` of the server that is heeded.
const MAX_ASKED_FOR: Duration = Duration::from_secs(60);
/// So many bad answers in succession count as an outage. One may be due to the token that was asked
/// about, and whoever sends such a token must not be able to shut out the others.
const STRIKES: u32 = 3;

/// Whether the server can be asked now.
#[derive(Debug)]
pub(super) struct Outage {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bad answers since the last good one.
    strikes: u32,
    /// How often the server was left alone since then; zero if it is well.
    failures: u32,
    /// From when until when it is left alone, in microseconds.
    since: u64,
    until: u64,
    /// Whether one request is finding out if the server is back.
    is_probed: bool,
}

/// How an attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// There was no answer.
    NoAnswer,
    /// There was an answer that is of no use.
    BadAnswer,
    /// The server is there, and refuses to be asked about this token.
    OfToken,
}

/// The permission to ask once. If it is dropped without a word, the attempt has failed.
pub(super) struct Attempt<'o> {
    outage: &'o Outage,
    /// The failures when it began.
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

    /// Begins an attempt, or says after what time to come back.
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

    /// Whether others have found out that the server is down, and nobody is finding out if it is back.
    pub(super) fn has_begun(&self) -> bool {
        let state = self.state();
        !state.is_probed && state.left(self.now()).is_some()
    }

    /// For how long the server is left alone, or `None` if it may be asked.
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
        // A clock that was set back does not make it longer.
        if self.failures > 0 && self.since <= now && now < self.until {
            return Some(Duration::from_micros(self.until - now));
        }
        self.is_probed.then_some(MIN_BACKOFF)
    }

    /// Full jitter, because all nodes fail at the same moment.
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

    /// Takes note of the failure, and returns after what time to come back. `asked_for` is what the
    /// server has asked for.
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
        // What others have found out since then is known already.
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
                    // It may be due to the token of the probe, so the others do not wait for longer.
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
    fn a_refusal_of_one_token_is_no_strike_and_ends_an_outage() {
        let (outage, clock) = outage();
        for _ in 0..10 * STRIKES {
            outage.begin().unwrap().failed(Severity::OfToken, None);
        }
        fails(outage.begin().unwrap());
        assert!(outage.begin().is_err());
        clock.advance(MAX_BACKOFF);
        // The server is there again, whatever it says of the token of the probe.
        outage.begin().unwrap().failed(Severity::OfToken, None);
        let (_one, _other) = (outage.begin().unwrap(), outage.begin().unwrap());
    }

    #[test]
    fn bad_answers_to_probes_do_not_make_the_others_wait_for_longer() {
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
        assert_eq!(outage.state().failures, 1, "both are one failure");
        assert!(outage.begin().is_err());
        clock.advance(Duration::from_secs(1));
        let probe = outage.begin().unwrap();
        assert!(outage.begin().is_err(), "while the first one is under way");
        fails(probe);
        assert!(outage.left().is_some());
        clock.advance(Duration::from_secs(2));
        outage.begin().unwrap().succeeded();
        assert!(outage.left().is_none());
        drop((outage.begin().unwrap(), outage.begin().unwrap()));
    }

    #[test]
    fn it_is_left_alone_for_longer_each_time_and_15_seconds_at_most() {
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
    fn one_bad_answer_shuts_nobody_out_and_three_in_succession_do() {
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
    fn a_server_that_asks_for_time_gets_it_within_bounds() {
        for (asked, expected) in [(30, 30), (86_400, MAX_ASKED_FOR.as_secs())] {
            let (outage, _) = outage();
            let attempt = outage.begin().unwrap();
            attempt.failed(Severity::BadAnswer, Some(Duration::from_secs(asked)));
            assert_eq!(outage.left(), Some(Duration::from_secs(expected)));
        }
    }

    #[test]
    fn an_attempt_that_is_dropped_has_failed_and_a_clock_set_back_ends_the_wait() {
        let (outage, clock) = outage();
        drop(outage.begin().unwrap());
        assert!(outage.begin().is_err());
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(10));
        drop(outage.begin().unwrap());
        assert!(!outage.state().is_probed);
    }
}
