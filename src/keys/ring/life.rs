//! When a key is in which state: a plain function of the time.
//!
//! Times and durations are whole seconds, since the Unix epoch where they are times.

use std::fmt;

/// Where a key of a [`KeyRing`](super::KeyRing) is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// Signs; there is one.
    Active,
    /// Published and accepted, and does not sign yet.
    Standby,
    /// Signs no more; published and accepted until the last token that it signed has expired.
    Retiring,
    /// Neither published nor accepted.
    Removed,
}

/// What decides the life of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    /// When it begins to sign.
    pub(super) from: u64,
    /// When it is removed at the latest.
    pub(super) ends: Option<u64>,
    /// How many keys were added to the file after it.
    pub(super) younger: usize,
}

/// The keys of a ring in the order of their activation, and how long a key retires.
#[derive(Clone, Copy)]
pub(super) struct Timeline<'l> {
    lives: &'l [Life],
    retire_for: u64,
}

/// How long a removed key is kept at least, in seconds.
pub(super) const KEPT_WHEN_REMOVED: u64 = 86_400;

// === impl KeyState ===

impl KeyState {
    /// A stable, lower-case name for health pages and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retiring => "retiring",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Life ===

impl Life {
    /// From the start, and with no end of its own.
    pub(super) const ALWAYS: Self = Self {
        from: 0,
        ends: None,
        younger: 0,
    };

    pub(super) fn has_ended(self, now: u64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

// === impl Timeline ===

impl<'l> Timeline<'l> {
    /// `lives` must be sorted by `from`.
    pub(super) fn new(lives: &'l [Life], retire_for: u64) -> Self {
        debug_assert!(lives.is_sorted_by_key(|life| life.from));
        Self { lives, retire_for }
    }

    /// Which key signs: the last that was activated. Where none was (the clock was set back, or the
    /// active one was taken out), the next that will be: a ring is never without a key to sign.
    pub(super) fn active(self, now: u64) -> Option<usize> {
        let good = |index: &usize| !self.is_over(*index, now);
        let begun = self.lives.partition_point(|life| life.from <= now);
        let last = (0..begun).rev().find(good);
        last.or_else(|| (begun..self.lives.len()).find(good))
    }

    pub(super) fn state(self, index: usize, now: u64) -> KeyState {
        if self.active(now) == Some(index) {
            KeyState::Active
        } else if self.is_over(index, now) {
            KeyState::Removed
        } else if self.lives[index].from > now {
            KeyState::Standby
        } else {
            KeyState::Retiring
        }
    }

    /// Since when the key is in its state; unknown for one that waits.
    pub(super) fn since(self, index: usize, now: u64) -> Option<u64> {
        match self.state(index, now) {
            KeyState::Active => Some(self.lives[index].from).filter(|from| *from <= now),
            KeyState::Standby => None,
            KeyState::Retiring => self.succeeded_at(index),
            KeyState::Removed => self.removed_at(index),
        }
    }

    /// When that state ends, as far as is known.
    pub(super) fn until(self, index: usize, now: u64) -> Option<u64> {
        match self.state(index, now) {
            KeyState::Active => {
                let next = self.succeeded_at(index).into_iter();
                next.chain(self.lives[index].ends).min()
            }
            KeyState::Standby => Some(self.lives[index].from),
            KeyState::Retiring => self.removed_at(index),
            KeyState::Removed => None,
        }
    }

    /// Whether a key need not be kept: it was removed a day ago, and at least `younger` keys have
    /// been added since it was. See [`Schedule::keys_kept`](super::schedule::Schedule::keys_kept)
    /// for why the clock alone does not decide.
    pub(super) fn is_forgotten(self, index: usize, now: u64, younger: usize) -> bool {
        self.active(now) != Some(index)
            && self.lives[index].younger >= younger
            && self
                .removed_at(index)
                .is_some_and(|removed| removed.saturating_add(KEPT_WHEN_REMOVED) <= now)
    }

    fn is_over(self, index: usize, now: u64) -> bool {
        self.removed_at(index).is_some_and(|removed| removed <= now)
    }

    fn removed_at(self, index: usize) -> Option<u64> {
        let retired = self
            .succeeded_at(index)
            .map(|at| at.saturating_add(self.retire_for));
        retired.into_iter().chain(self.lives[index].ends).min()
    }

    /// When the next key begins to sign in place of this one.
    fn succeeded_at(self, index: usize) -> Option<u64> {
        self.lives.get(index + 1).map(|next| next.from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KeyState, Life, Timeline};

    const RETIRE: u64 = 1_000;

    fn lives(from: &[u64]) -> Vec<Life> {
        let from = from.iter().rev().enumerate();
        let lives = from.map(|(younger, &from)| Life {
            from,
            ends: None,
            younger,
        });
        let mut lives: Vec<_> = lives.collect();
        lives.reverse();
        lives
    }

    fn states(lives: &[Life], now: u64) -> Vec<KeyState> {
        let timeline = Timeline::new(lives, RETIRE);
        (0..lives.len())
            .map(|index| timeline.state(index, now))
            .collect()
    }

    #[test]
    fn each_state_begins_at_its_second() {
        use KeyState::*;
        let lives = lives(&[0, 100, 200]);
        assert_eq!(states(&lives, 99), [Active, Standby, Standby]);
        assert_eq!(states(&lives, 100), [Retiring, Active, Standby]);
        assert_eq!(states(&lives, 199), [Retiring, Active, Standby]);
        assert_eq!(states(&lives, 200), [Retiring, Retiring, Active]);
        assert_eq!(states(&lives, 1_099), [Retiring, Retiring, Active]);
        assert_eq!(states(&lives, 1_100), [Removed, Retiring, Active]);
        assert_eq!(states(&lives, 1_199), [Removed, Retiring, Active]);
        assert_eq!(states(&lives, 1_200), [Removed, Removed, Active]);
        assert_eq!(states(&lives, u64::MAX), [Removed, Removed, Active]);
    }

    #[test]
    fn since_and_until_tell_the_transitions() {
        let lives = lives(&[0, 100]);
        let timeline = Timeline::new(&lives, RETIRE);
        let told = |index, now| (timeline.since(index, now), timeline.until(index, now));
        assert_eq!(told(0, 50), (Some(0), Some(100)));
        assert_eq!(told(1, 50), (None, Some(100)));
        assert_eq!(told(0, 100), (Some(100), Some(1_100)));
        assert_eq!(told(1, 100), (Some(100), None));
        assert_eq!(told(0, 1_100), (Some(1_100), None));
        assert!(!timeline.is_forgotten(0, 1_100 + 86_399, 1));
        assert!(timeline.is_forgotten(0, 1_100 + 86_400, 1));
        assert!(!timeline.is_forgotten(0, u64::MAX, 2));
        assert!(!timeline.is_forgotten(1, u64::MAX, 0));
    }

    #[test]
    fn where_no_key_has_begun_the_first_signs() {
        use KeyState::*;
        assert_eq!(states(&lives(&[100, 200]), 50), [Active, Standby]);
        assert_eq!(states(&[], 50), []);
    }

    #[test]
    fn of_two_keys_with_one_time_the_later_in_the_list_signs() {
        use KeyState::*;
        assert_eq!(states(&lives(&[100, 100]), 100), [Retiring, Active]);
    }

    #[test]
    fn a_key_with_an_end_is_removed_then_and_another_signs() {
        use KeyState::*;
        let mut lives = lives(&[0, 100, 5_000]);
        lives[1].ends = Some(300);
        assert_eq!(states(&lives, 299), [Retiring, Active, Standby]);
        assert_eq!(states(&lives, 300), [Active, Removed, Standby]);
        // The first is long retired by then: it does not come back to life.
        lives[1].ends = Some(2_000);
        assert_eq!(states(&lives, 2_000), [Removed, Removed, Active]);
        lives.pop();
        assert_eq!(states(&lives, 2_000), [Removed, Removed]);
    }

    proptest! {
        /// One key signs; states only go forward; whoever signed is accepted for long enough.
        #[test]
        fn the_life_of_a_key_is_one_way(
            mut from in proptest::collection::vec(0_u64..5_000, 1..8),
            mut times in proptest::collection::vec(0_u64..9_000, 2..12),
        ) {
            from.sort_unstable();
            times.sort_unstable();
            let lives = lives(&from);
            let timeline = Timeline::new(&lives, RETIRE);
            let order = |state| match state {
                KeyState::Standby => 0,
                KeyState::Active => 1,
                KeyState::Retiring => 2,
                KeyState::Removed => 3,
            };
            let mut before = vec![0; from.len()];
            let mut signed: Vec<Option<u64>> = vec![None; from.len()];
            for now in times {
                let states = states(&lives, now);
                let active = states.iter().filter(|state| **state == KeyState::Active);
                prop_assert_eq!(active.count(), 1);
                for (index, state) in states.into_iter().enumerate() {
                    // Before the first activation the first key stands in.
                    prop_assert!(order(state) >= before[index]);
                    before[index] = order(state);
                    if state == KeyState::Active {
                        signed[index] = Some(now);
                    }
                    // A token of it that lives as long as tokens may is still accepted.
                    if signed[index].is_some_and(|at| now < at.saturating_add(RETIRE)) {
                        prop_assert_ne!(state, KeyState::Removed);
                    }
                    let (since, until) = (timeline.since(index, now), timeline.until(index, now));
                    prop_assert!(since.is_none_or(|since| since <= now));
                    prop_assert!(until.is_none_or(|until| now < until));
                }
            }
        }
    }
}
