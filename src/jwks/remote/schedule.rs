//! [`Schedule`]: decides when keys are fetched, and for how long they are used. It reads no clock: callers
//! pass the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::keys::KeySourceState;

/// The lifetime of keys if the issuer does not name one.
const DEFAULT_TTL: Duration = Duration::from_secs(600);
const MIN_TTL: Duration = Duration::from_secs(60);
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// The time after an attempt, successful or not, before an unknown key id can cause the next one.
pub(super) const FORCED_EVERY: Duration = Duration::from_secs(30);
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// The shortest pause after jitter.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);

/// The history of fetches of one key set, and what follows from it.
#[derive(Debug)]
pub(super) struct Schedule {
    stale_for: Duration,
    good: Option<Good>,
    last_attempt: Option<Instant>,
    failures: u32,
    /// When to fetch without a request that needs it.
    next: Instant,
}

/// The last fetch that succeeded.
#[derive(Debug, Clone, Copy)]
struct Good {
    at: Instant,
    ttl: Duration,
}

// === impl Schedule ===

impl Schedule {
    /// Begins with a fetch at once.
    pub(super) fn new(now: Instant, stale_for: Duration) -> Self {
        Self {
            stale_for,
            good: None,
            last_attempt: None,
            failures: 0,
            next: now,
        }
    }

    pub(super) fn began(&mut self, now: Instant) {
        self.last_attempt = Some(now);
    }

    /// Records a successful fetch with its `max-age`. `chance` is a random number from 0 to 1.
    pub(super) fn succeeded(&mut self, now: Instant, max_age: Option<Duration>, chance: f64) {
        let ttl = max_age.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
        self.good = Some(Good { at: now, ttl });
        self.failures = 0;
        // About 80 %, with jitter, so that the nodes of a service do not all fetch at once.
        self.next = now + ttl.mul_f64(0.75 + 0.1 * chance);
    }

    /// Records a failed fetch. The pause has full jitter, because all nodes fail at the same moment.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) {
        let longest = MIN_BACKOFF
            .saturating_mul(1 << self.failures.min(16))
            .min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.next = now + longest.mul_f64(chance).max(SHORTEST_BACKOFF);
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether an unknown key id may cause a fetch now.
    pub(super) fn may_force(&self, now: Instant) -> bool {
        self.last_attempt
            .is_none_or(|last| now.saturating_duration_since(last) >= FORCED_EVERY)
    }

    /// Returns the time until the next fetch, at least a second.
    pub(super) fn retry_after(&self, now: Instant) -> Duration {
        let forced = self.last_attempt.map_or(now, |last| last + FORCED_EVERY);
        let next = self.next.min(forced).saturating_duration_since(now);
        next.max(Duration::from_secs(1))
    }

    /// Returns until when the keys are used if they cannot be fetched again.
    pub(super) fn usable_until(&self) -> Option<Instant> {
        self.good.map(|good| good.at + good.ttl + self.stale_for)
    }

    pub(super) fn state(&self, now: Instant) -> KeySourceState {
        match self.good {
            None => KeySourceState::Empty,
            Some(good) if now < good.at + good.ttl => KeySourceState::Fresh,
            Some(good) if now < good.at + good.ttl + self.stale_for => KeySourceState::Stale,
            Some(_) => KeySourceState::Expired,
        }
    }

    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.good.map(|good| now.saturating_duration_since(good.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fetched(max_age: Option<u64>) -> (Schedule, Instant) {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, HOUR);
        schedule.began(start);
        schedule.succeeded(start, max_age.map(seconds), 0.5);
        (schedule, start)
    }

    #[test]
    fn max_age_is_kept_within_a_minute_and_a_day() {
        for (max_age, ttl) in [
            (None, 600),
            (Some(0), 60),
            (Some(59), 60),
            (Some(300), 300),
            (Some(86_401), 86_400),
            (Some(u64::MAX), 86_400),
        ] {
            let (schedule, start) = fetched(max_age);
            let last = start + seconds(ttl) - Duration::from_nanos(1);
            assert_eq!(schedule.state(last), KeySourceState::Fresh, "{max_age:?}");
            assert_eq!(schedule.state(start + seconds(ttl)), KeySourceState::Stale);
            assert_eq!(schedule.next(), start + seconds(ttl).mul_f64(0.8));
            assert!(
                schedule.next() < start + seconds(ttl),
                "the next fetch must begin before the keys expire"
            );
        }
    }

    #[test]
    fn stale_keys_are_used_for_an_hour_and_no_longer() {
        let (mut schedule, start) = fetched(Some(60));
        schedule.failed(start + seconds(60), 1.0); // a failure does not shorten the time
        let last = start + seconds(60) + HOUR - Duration::from_nanos(1);
        assert_eq!(schedule.state(last), KeySourceState::Stale);
        assert_eq!(
            schedule.state(start + seconds(60) + HOUR),
            KeySourceState::Expired
        );
        assert_eq!(schedule.usable_until(), Some(start + seconds(60) + HOUR));
    }

    #[test]
    fn failures_back_off_from_a_second_to_five_minutes() {
        let (mut schedule, start) = fetched(None);
        for longest in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            schedule.failed(start, 1.0);
            assert_eq!(schedule.next(), start + seconds(longest));
        }
        schedule.failed(start, 0.0);
        assert_eq!(schedule.next(), start + SHORTEST_BACKOFF);
        for _ in 0..100 {
            schedule.failed(start, 1.0);
        }
        assert_eq!(schedule.next(), start + MAX_BACKOFF);
        schedule.succeeded(start, None, 0.0);
        assert_eq!(schedule.failures(), 0);
    }

    #[test]
    fn a_forced_fetch_waits_for_the_pause_after_any_attempt() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, HOUR);
        assert!(schedule.may_force(start));
        schedule.began(start);
        schedule.failed(start + seconds(5), 1.0);
        assert!(!schedule.may_force(start + FORCED_EVERY - Duration::from_nanos(1)));
        assert!(schedule.may_force(start + FORCED_EVERY));
        assert_eq!(schedule.retry_after(start + seconds(5)), seconds(1));
    }
}
