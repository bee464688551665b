//! [`Argon2Params::calibrate`]: parameters for this machine.

use std::time::{Duration, Instant};

use crate::password::argon2::Argon2Hash;
use crate::password::params::Argon2Params;
use crate::password::pool::Scratch;

/// The memory of RFC 9106's second recommended option. Beyond it, more time goes into more passes.
const ENOUGH_MEMORY_KIB: u32 = 64 * 1024;

// === impl Argon2Params ===

impl Argon2Params {
    /// Proposes the strongest parameters with which one hash takes about `target` on this machine. It never
    /// proposes weaker ones than [`DEFAULT`](Argon2Params::DEFAULT).
    ///
    /// It raises the memory first, to at most 64 MiB, and then the passes. Run it on the machine that will
    /// serve, from a tool or by hand, write the result into the configuration, and keep it there: with
    /// parameters that change at every start, every login would be a rehash. Aim at 50 to 250 ms. One core
    /// then handles at most `1 / target` logins per second. The call blocks the thread for some tens of times
    /// `target` at most.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_jwt_auth::PasswordService;
    /// use tower_jwt_auth::password::Argon2Params;
    ///
    /// let params = Argon2Params::calibrate(Duration::from_millis(20));
    /// println!("argon2id m={} t={}", params.memory_kib(), params.passes());
    /// assert!(PasswordService::builder().argon2(params).build().is_ok());
    /// ```
    #[must_use]
    pub fn calibrate(target: Duration) -> Self {
        calibrate_by(target, &mut measure())
    }
}

/// Takes one step at a time, as long as the next one still hashes within `target`.
fn calibrate_by(
    target: Duration,
    time_of: &mut impl FnMut(Argon2Params) -> Duration,
) -> Argon2Params {
    let mut best = Argon2Params::DEFAULT;
    loop {
        let (memory, passes) = (best.memory_kib(), best.passes());
        let next = if memory < ENOUGH_MEMORY_KIB {
            Argon2Params::new((memory + memory / 2).min(ENOUGH_MEMORY_KIB), passes, 1)
        } else {
            Argon2Params::new(memory, passes + 1, 1)
        };
        if !next.is_within_caps() || time_of(next) > target {
            return best;
        }
        best = next;
    }
}

/// Measures hashes as a worker makes them: in memory that is already allocated, the faster of two.
fn measure() -> impl FnMut(Argon2Params) -> Duration {
    let mut scratch = Scratch::default();
    move |params| {
        let mut time = || {
            let start = Instant::now();
            let made =
                Argon2Hash::make(params, None, b"correct horse battery staple", &mut scratch);
            // If the memory cannot be allocated, no time is short enough.
            made.map_or(Duration::MAX, |_| start.elapsed())
        };
        let fresh = time();
        fresh.min(time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that takes 1 ms for each MiB and pass.
    fn slow_machine(params: Argon2Params) -> Duration {
        Duration::from_millis(u64::from(params.memory_kib() / 1024 * params.passes()))
    }

    #[test]
    fn a_short_target_gives_the_default_and_nothing_weaker() {
        assert_eq!(
            calibrate_by(Duration::ZERO, &mut slow_machine),
            Argon2Params::DEFAULT
        );
        assert_eq!(
            Argon2Params::calibrate(Duration::ZERO),
            Argon2Params::DEFAULT
        );
    }

    #[test]
    fn memory_is_raised_before_passes() {
        let within = |ms| calibrate_by(Duration::from_millis(ms), &mut slow_machine);
        assert_eq!(within(100), Argon2Params::new(43_776, 2, 1));
        assert_eq!(within(130), Argon2Params::new(65_536, 2, 1));
        assert_eq!(within(330), Argon2Params::new(65_536, 5, 1));
    }

    #[test]
    fn a_long_target_stops_at_the_limits() {
        let proposed = calibrate_by(Duration::MAX, &mut |_| Duration::ZERO);
        assert_eq!(proposed, Argon2Params::new(65_536, 20, 1));
        assert_eq!(proposed.check(false), Ok(()));
    }
}
