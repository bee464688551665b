//! [`Schedule`]: computes when to add the next key, and which keys were planned by a wrong clock.
//!
//! Durations are whole seconds, and times are whole seconds since the Unix epoch.

use super::life::Life;
use crate::keys::Algorithm;

/// The number that replaces [`Schedule::keys_kept`] if people add the keys, at unpredictable times.
pub(super) const KEPT_BY_HAND: usize = 16;

/// The plan by which keys rotate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) algorithm: Algorithm,
    /// The time for which each key signs.
    pub(super) period: u64,
    /// The time for which a key is published before it signs.
    pub(super) lead: u64,
}

// === impl Schedule ===

impl Schedule {
    /// Returns when the next key should begin to sign, if it is time to publish it.
    ///
    /// The period counts from the last activation, and every key is published for at least the lead. A key
    /// with an `exp` gets its successor in time. If a key is already on standby, no other is added, unless
    /// that key is [far](Self::is_far) in the future: rotation ignores such a key.
    pub(super) fn next_key(self, lives: &[Life], now: u64) -> Option<u64> {
        let mut usable = lives.iter().filter(|life| !life.has_ended(now)).peekable();
        if usable.peek().is_none() {
            return Some(now);
        }
        let near = usable.filter(|life| !self.is_far(**life, now));
        let Some(newest) = near.max_by_key(|life| life.from) else {
            // Until then, one of the far keys signs.
            return Some(now.saturating_add(self.lead));
        };
        let (newest, ends) = (newest.from, newest.ends.unwrap_or(u64::MAX));
        let due = newest.saturating_add(self.period).min(ends);
        (newest <= now && due.saturating_sub(self.lead) <= now)
            .then(|| due.max(now.saturating_add(self.lead)))
    }

    /// Whether a key begins to sign later than any clock near this one could have planned. Then it was added
    /// by a node whose clock was far ahead, or the clock of this node is far behind.
    ///
    /// The schedule plans at most a lead ahead, and people rarely more than another period. A further lead is
    /// allowed for clocks that differ slightly.
    pub(super) fn is_far(self, life: Life, now: u64) -> bool {
        let furthest = self.lead.saturating_mul(2).saturating_add(self.period);
        life.from > now.saturating_add(furthest)
    }

    /// Returns how many keys must have been added after a removed one before that is dropped from the file.
    ///
    /// The clock alone must not decide. For a node whose clock is a year ahead, every key of the other nodes
    /// seems to have been removed long ago. But the order in which keys were added does not depend on a
    /// clock, and whatever its clock shows, a node adds at most one key per period after its first one.
    ///
    /// A key is needed for a lead, a period and `retire_for` after it was added. The result is one more than
    /// the number of keys that are added in that time by nodes with correct clocks and by two nodes with
    /// clocks that are wrong by different amounts. It does not help if a clock stays wrong by several periods
    /// until the keys that it has planned begin to sign everywhere; [`problem`](super::KeyRing::problem)
    /// reports that all the time.
    pub(super) fn keys_kept(self, retire_for: u64) -> usize {
        let more = self.lead.saturating_add(retire_for) / self.period.max(1);
        let periods = usize::try_from(more).unwrap_or(usize::MAX);
        periods.saturating_mul(3).saturating_add(6)
    }
}

/// Formats a time as in RFC 3339.
pub(super) fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The calendar repeats every 400 years. Years begin in March here, so that a leap day comes last.
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
        assert_eq!(SCHEDULE.next_key(&one, 1_100), Some(1_110)); // late, but still a lead ahead
        assert_eq!(SCHEDULE.next_key(&one, 999), None); // the first key has not begun to sign
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
        // 100 seconds to sign, 10 to be published, and 10 for clocks that differ.
        let far = lives(&[1_000, 1_211]);
        assert_eq!(SCHEDULE.next_key(&far, 1_089), None);
        assert_eq!(SCHEDULE.next_key(&far, 1_090), Some(1_100));
        assert_eq!(SCHEDULE.next_key(&far, 1_091), None);
        // If there is no other key, one of the far ones signs until the next key is known.
        assert_eq!(SCHEDULE.next_key(&lives(&[5_000]), 7), Some(17));
        let most = [Life {
            from: u64::MAX,
            ends: Some(5),
            ..Life::ALWAYS
        }];
        assert_eq!(SCHEDULE.next_key(&most, 5), Some(5));
    }

    #[test]
    fn a_time_is_formatted_as_rfc_3339() {
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
        /// Even if the schedule is checked late, there is always a key, and each key gets its lead.
        #[test]
        fn each_key_gets_its_lead_even_if_the_schedule_is_checked_late(
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

        /// No key signs for longer than two periods and two leads, whatever keys a wrong clock has added.
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
