//! When the next key is due, and which keys a wrong clock has planned: plain functions of the time.
//!
//! Times and durations are whole seconds, since the Unix epoch where they are times.

use super::life::Life;
use crate::keys::Algorithm;

/// The same as [`Schedule::keys_kept`] where people add the keys, at times that nobody knows.
pub(super) const KEPT_BY_HAND: usize = 16;

/// Which keys follow, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) algorithm: Algorithm,
    /// How long each key signs.
    pub(super) period: u64,
    /// For how long it is published before.
    pub(super) lead: u64,
}

// === impl Schedule ===

impl Schedule {
    /// When the next key should begin to sign, if it is time to publish it.
    ///
    /// The period counts from the last activation; a key is never given less than the lead to become
    /// known. A key that ends of itself is followed in time. A key that already waits is enough,
    /// unless it is [far](Self::is_far): rotation goes on as if that one were not there.
    pub(super) fn next_key(self, lives: &[Life], now: u64) -> Option<u64> {
        let mut usable = lives.iter().filter(|life| !life.has_ended(now)).peekable();
        if usable.peek().is_none() {
            return Some(now);
        }
        let near = usable.filter(|life| !self.is_far(**life, now));
        let Some(newest) = near.max_by_key(|life| life.from) else {
            // One of the far keys signs meanwhile.
            return Some(now.saturating_add(self.lead));
        };
        let (newest, ends) = (newest.from, newest.ends.unwrap_or(u64::MAX));
        let due = newest.saturating_add(self.period).min(ends);
        (newest <= now && due.saturating_sub(self.lead) <= now)
            .then(|| due.max(now.saturating_add(self.lead)))
    }

    /// Whether a key begins to sign later than any clock near this one could have planned: it was
    /// added by a node whose clock was far ahead, or this node's clock is far behind.
    ///
    /// The schedule plans no further than a lead ahead, and people hardly further than a period more.
    /// Another lead is left for clocks that differ a little.
    pub(super) fn is_far(self, life: Life, now: u64) -> bool {
        let furthest = self.lead.saturating_mul(2).saturating_add(self.period);
        life.from > now.saturating_add(furthest)
    }

    /// How many keys must have been added after a removed one before it is dropped from the file.
    ///
    /// The clock alone must not decide. A node whose clock is a year ahead takes every key of the
    /// others for one that was removed long ago, and what it writes itself agrees with its clock. But
    /// the order in which keys were added depends on no clock, and no clock lets a node add more than
    /// one key per period, after the first one.
    ///
    /// A key is needed for a lead, a period and `retire_for` after it was added. This is one more than
    /// the keys that are added in that time by nodes whose clocks are right and by two whose clocks
    /// are wrong, each by another amount. It does not help against a clock that stays wrong by several
    /// periods until the keys that it has planned begin to sign everywhere;
    /// [`problem`](super::KeyRing::problem) says so all that time.
    pub(super) fn keys_kept(self, retire_for: u64) -> usize {
        let more = self.lead.saturating_add(retire_for) / self.period.max(1);
        let periods = usize::try_from(more).unwrap_or(usize::MAX);
        periods.saturating_mul(3).saturating_add(6)
    }
}

/// A time as RFC 3339 writes it.
pub(super) fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The calendar repeats after 400 years, which here begin in March: a leap day comes last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Schedule, utc};
    use crate::keys::Algorithm;
    use crate::keys::ring::life::Life;

    const SCHEDULE: Schedule = Schedule {
        algorithm: Algorithm::EdDSA,
        period: 100,
        lead: 10,
    };

    fn lives(from: &[u64]) -> Vec<Life> {
        let life = |&from| Life {
            from,
            ..Life::ALWAYS
        };
        from.iter().map(life).collect()
    }

    #[test]
    fn the_next_key_is_due_a_lead_before_the_period_ends() {
        let one = lives(&[1_000]);
        assert_eq!(SCHEDULE.next_key(&one, 1_089), None);
        assert_eq!(SCHEDULE.next_key(&one, 1_090), Some(1_100));
        assert_eq!(SCHEDULE.next_key(&one, 1_100), Some(1_110)); // late, and still a lead
        assert_eq!(SCHEDULE.next_key(&one, 999), None); // not even begun
        let waits = lives(&[1_000, 1_100]);
        assert_eq!(SCHEDULE.next_key(&waits, 1_099), None);
        assert_eq!(SCHEDULE.next_key(&waits, 1_190), Some(1_200));
        assert_eq!(SCHEDULE.next_key(&[], 7), Some(7));
        let ended = [Life {
            ends: Some(5),
            ..Life::ALWAYS
        }];
        assert_eq!(SCHEDULE.next_key(&ended, 5), Some(5));
    }

    #[test]
    fn a_far_key_counts_when_its_time_is_near() {
        // 100 to sign, 10 to be published, and 10 for clocks that differ.
        let far = lives(&[1_000, 1_211]);
        assert_eq!(SCHEDULE.next_key(&far, 1_089), None);
        assert_eq!(SCHEDULE.next_key(&far, 1_090), Some(1_100));
        assert_eq!(SCHEDULE.next_key(&far, 1_091), None);
        // Where there is no other, one of them signs until the next key is known.
        assert_eq!(SCHEDULE.next_key(&lives(&[5_000]), 7), Some(17));
        let most = [Life {
            from: u64::MAX,
            ends: Some(5),
            ..Life::ALWAYS
        }];
        assert_eq!(SCHEDULE.next_key(&most, 5), Some(5));
    }

    #[test]
    fn a_time_is_told_as_a_date() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }

    proptest! {
        /// A schedule that is looked after late never leaves a gap, and gives each key its lead.
        #[test]
        fn a_schedule_that_is_looked_after_late_still_gives_each_key_its_lead(
            period in 20_u64..200,
            lead in 1_u64..19,
            pauses in proptest::collection::vec(1_u64..300, 1..40),
        ) {
            let schedule = Schedule { period, lead, ..SCHEDULE };
            let (mut known, mut now) = (lives(&[0]), 0);
            for pause in pauses {
                now += pause;
                if let Some(from) = schedule.next_key(&known, now) {
                    prop_assert!(from >= now + lead);
                    let newest = known.last().map_or(0, |life| life.from);
                    prop_assert!(from >= newest + period);
                    known.push(Life { from, ..Life::ALWAYS });
                    prop_assert_eq!(schedule.next_key(&known, now), None);
                }
            }
        }

        /// Whatever keys a wrong clock has added, no key signs for longer than two periods and two leads.
        #[test]
        fn rotation_never_stops(
            period in 20_u64..200,
            lead in 1_u64..19,
            far in proptest::collection::vec(0_u64..10_000, 0..6),
        ) {
            let schedule = Schedule { period, lead, ..SCHEDULE };
            let (mut known, mut last) = (lives(&far), 0);
            known.push(Life::ALWAYS);
            for now in 0..4_000 {
                if let Some(from) = schedule.next_key(&known, now) {
                    known.push(Life { from, ..Life::ALWAYS });
                }
                if known.iter().any(|life| life.from == now) {
                    last = now;
                }
                prop_assert!(now - last <= 2 * (period + lead));
            }
        }
    }
}
