//! The ids of tokens (`jti`, RFC 7519 section 4.1.7) and sessions: a timestamp in microseconds, followed by
//! 128 random bits.
//!
//! The timestamp orders the tokens of one issuer more finely than `iat`, which has whole seconds. So "log out
//! everywhere" refuses every token that was issued before it and none that was issued after it, even within
//! the same second.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::{Clock, unix_micros};
use crate::keys::digest;

/// The largest step back of a clock, in microseconds, after which timestamps still count on from the last one.
const STEP_BACK: u64 = 1_000_000;
/// The most by which a cut-off may be ahead of the clock, in microseconds: 300 seconds. A token with a later
/// timestamp is not valid yet with any leeway, and a clock that was once a day ahead must not lock users out
/// for a day.
const FAR_AHEAD: u64 = 300_000_000;
const STAMP_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
const ID_BYTES: usize = STAMP_BYTES + RANDOM_BYTES;

/// Makes timestamps in microseconds since the Unix epoch, each of which is used once.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    last: AtomicU64,
    /// The highest timestamp that was ever made, even if the clock was set back since.
    highest: AtomicU64,
}

/// An id in `Debug` output and in logs: the beginning of its SHA-256. It shows which lines belong to the same
/// session, but cannot be used in place of the id (OWASP ASVS 5.0 V16.2.5).
pub(crate) struct Digest<'a>(pub(crate) &'a str);

// === impl Digest ===

impl fmt::Display for Digest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = digest(self.0.as_bytes()).unwrap_or_default();
        f.write_str("#")?;
        f.write_str(digest.get(..12).unwrap_or_default())
    }
}

impl fmt::Debug for Digest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Stamps ===

impl Stamps {
    /// Returns the current time, or the microsecond after the last timestamp if the clock has not moved
    /// since.
    pub(crate) fn next(&self, clock: &dyn Clock) -> u64 {
        let now = unix_micros(clock.now());
        // If the clock was set back by more, the timestamps follow it and do not stay in the future.
        let after = |last: u64| {
            if last.saturating_sub(now) > STEP_BACK {
                now
            } else {
                now.max(last + 1)
            }
        };
        let last = self
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
                Some(after(last))
            });
        let stamp = after(last.unwrap_or_default());
        self.highest.fetch_max(stamp, Ordering::AcqRel);
        stamp
    }

    /// Returns a timestamp that is not before any that was made.
    pub(crate) fn cutoff(&self, clock: &dyn Clock) -> u64 {
        let stamp = self.next(clock);
        let highest = self.highest.load(Ordering::Acquire);
        stamp.max(highest.min(stamp.saturating_add(FAR_AHEAD)))
    }
}

/// Makes an id for a token that is issued, or a session that is opened, at `stamp`. Returns `None`
/// if the system has no randomness.
pub(crate) fn new_id(stamp: u64) -> Option<String> {
    let mut bytes = [0; ID_BYTES];
    let (head, random) = bytes.split_at_mut(STAMP_BYTES);
    head.copy_from_slice(&stamp.to_be_bytes());
    getrandom::fill(random).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the microsecond in which an id of this crate was made, or `None` for any other text.
pub(crate) fn stamp_of(id: &str) -> Option<u64> {
    let mut bytes = [0; ID_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(id, &mut bytes).ok()?;
    let (stamp, _) = bytes.split_first_chunk::<STAMP_BYTES>()?;
    (length == ID_BYTES).then(|| u64::from_be_bytes(*stamp))
}

/// Returns the microsecond in which a token was issued: that of its id or, if the id is not of this crate or
/// was not made in the second of `iat`, `iat` itself.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `iat` is 0 to 2^53
pub(crate) fn issued_micros(jti: &str, iat: f64) -> u64 {
    match stamp_of(jti) {
        Some(stamp) if stamp / 1_000_000 == iat as u64 => stamp,
        _ => (iat * 1e6) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::{Stamps, issued_micros, new_id};
    use crate::clock::ManualClock;

    #[test]
    fn timestamps_grow_if_the_clock_stands_still_or_steps_back() {
        let clock = ManualClock::at_unix_seconds(100);
        let stamps = Stamps::default();
        assert_eq!(stamps.next(&clock), 100_000_000);
        assert_eq!(stamps.next(&clock), 100_000_001);
        clock.set(std::time::UNIX_EPOCH + std::time::Duration::from_millis(99_500));
        assert_eq!(stamps.next(&clock), 100_000_002);
        clock.set(std::time::UNIX_EPOCH + std::time::Duration::from_secs(10));
        assert_eq!(
            stamps.next(&clock),
            10_000_000,
            "timestamps must follow a clock that was corrected"
        );
        assert_eq!(
            stamps.cutoff(&clock),
            100_000_002,
            "a cut-off must not be before an earlier timestamp"
        );
    }

    #[test]
    fn an_id_contains_its_microsecond_and_a_foreign_one_uses_iat() {
        let id = new_id(1_700_000_000_123_456).unwrap();
        assert_eq!(id.len(), 32);
        assert_eq!(issued_micros(&id, 1_700_000_000.0), 1_700_000_000_123_456);
        assert_eq!(issued_micros(&id, 1_700_000_001.0), 1_700_000_001_000_000);
        for foreign in [
            "",
            "x",
            "8d1b3c1e-5d0f-4c0a-9b60-0a1f6f8f1b2c",
            "!!!!",
            &"A".repeat(9000),
        ] {
            assert_eq!(
                issued_micros(foreign, 1_700_000_000.0),
                1_700_000_000_000_000
            );
        }
    }

    #[test]
    fn ids_differ_in_the_same_microsecond() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_id(7).unwrap()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
