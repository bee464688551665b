//! [`Clock`]: tells the time for every decision that depends on it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A clock, which tells the current time.
///
/// Expiry, not-before, issue dates and the freshness of cached answers are all measured by one clock, so that
/// a test can control it.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::at_unix_seconds(1_000);
/// let reader = clock.clone();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(reader.now(), std::time::UNIX_EPOCH + Duration::from_secs(1_005));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock",
    note = "use `SystemClock`, `ManualClock` in tests, or implement `Clock`, which also needs `Debug`"
)]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> SystemTime;

    /// Waits until the clock shows `time`. The wait may end earlier, so callers check the clock again.
    ///
    /// By default, it sleeps on the Tokio runtime for at most a minute, so that it notices when the clock was
    /// set or the machine was suspended. A clock that does not follow real time should end the wait when it
    /// is moved, as [`ManualClock`] does.
    fn wait_until(&self, time: SystemTime) -> Wait {
        let left = time.duration_since(self.now()).unwrap_or_default();
        Box::pin(tokio::time::sleep(left.min(LONGEST_SLEEP)))
    }
}

/// The future of [`Clock::wait_until`].
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The longest sleep before the clock is checked again.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The clock of the operating system. It is the default everywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock for tests, which stands still until it is moved. Clones share one time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    micros: Arc<watch::Sender<u64>>,
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the only place that reads the system clock
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        C::now(self)
    }

    fn wait_until(&self, time: SystemTime) -> Wait {
        C::wait_until(self, time)
    }
}

// === impl ManualClock ===

impl ManualClock {
    /// Makes a clock that shows `seconds` after the Unix epoch.
    #[must_use]
    pub fn at_unix_seconds(seconds: u64) -> Self {
        Self {
            micros: Arc::new(watch::Sender::new(seconds.saturating_mul(1_000_000))),
        }
    }

    /// Makes a clock that shows the present time.
    #[must_use]
    pub fn at_now() -> Self {
        let clock = Self::at_unix_seconds(0);
        clock.set(SystemClock.now());
        clock
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = as_micros(by);
        self.micros
            .send_modify(|micros| *micros = micros.saturating_add(by));
    }

    /// Sets the clock, forward or backward. A time before the Unix epoch counts as the epoch.
    pub fn set(&self, to: SystemTime) {
        self.micros.send_replace(unix_micros(to));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(*self.micros.borrow())
    }

    fn wait_until(&self, time: SystemTime) -> Wait {
        let (time, mut micros) = (unix_micros(time), self.micros.subscribe());
        Box::pin(async move {
            if micros.wait_for(|&now| now >= time).await.is_err() {
                std::future::pending::<()>().await; // all clones are gone, so nothing can move it
            }
        })
    }
}

/// Returns the clock's time in seconds since the Unix epoch, as in the claims of a token.
#[allow(clippy::cast_precision_loss)] // microseconds stay exact for 285 years
pub(crate) fn unix_seconds(clock: &dyn Clock) -> f64 {
    unix_micros(clock.now()) as f64 / 1e6
}

/// Returns the microseconds since the Unix epoch, or zero for a time before it.
pub(crate) fn unix_micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, as_micros)
}

/// Returns the microseconds of a duration, or `u64::MAX` if there are more.
pub(crate) fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
