//! Times as they are in the tables: seconds since 1970, by the clock of the process that wrote them.
//!
//! Clocks are set back, and those of two processes always differ a little. So no row is judged by a time in
//! the future: up to [`SKEW`] ahead it counts as now, and beyond that as wrong.

use std::time::{Duration, UNIX_EPOCH};

/// How far the clocks of two processes may differ, in seconds.
pub(crate) const SKEW: i64 = 300;

/// Returns the current time.
pub(crate) fn now() -> i64 {
    seconds(UNIX_EPOCH.elapsed().unwrap_or_default())
}

/// Converts a duration to whole seconds.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
