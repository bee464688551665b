//! [`Timeline`]: computes the state of each key from the time.
//!
//! Durations are whole seconds, and times are whole seconds since the Unix epoch.

use std::fmt;

/// The state of a key of a [`KeyRing`](super::KeyRing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// The key signs. There is exactly one such key, unless every key has reached its `exp`.
    Active,
    /// The key is published and accepted, but does not sign yet.
    Standby,
    /// The key no longer signs. It is published and accepted until the last token that it signed has expired.
    Retiring,
    /// The key is neither published nor accepted.
    Removed,
}

/// The times that determine the states of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    /// When the key begins to sign.
    pub(super) from: u64,
    /// When the key is removed at the latest.
    pub(super) ends: Option<u64>,
    /// How many keys were added to the file after this one.
    pub(super) younger: usize,
}

/// The keys of a ring in the order of their activation, and the time for which a key retires.
#[derive(Clone, Copy)]
pub(super) struct Timeline<'l> {
    lives: &'l [Life],
    retire_for: u64,
}

/// The minimum time for which a removed key is kept in the file, in seconds.
pub(super) const KEPT_WHEN_REMOVED: u64 = 86_400;

// === impl KeyState ===

impl KeyState {
    /// Returns the stable, lower-case name of the state, for health endpoints and metric labels.
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
    /// The life of a key that signs from the start and has no end of its own.
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

    /// Returns the key that signs: the one that was activated last. If there is none, because the clock was
    /// set back or the active key was removed, it is the one that will be activated next, so that a ring can
    /// always sign.
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

    /// Returns when the key entered its state, or `None` for a key on standby.
    pub(super) fn since(self, index: usize, now: u64) -> Option<u64> {
        match self.state(index, now) {
            KeyState::Active => Some(self.lives[index].from).filter(|from| *from <= now),
            KeyState::Standby => None,
            KeyState::Retiring => self.succeeded_at(index),
            KeyState::Removed => self.removed_at(index),
        }
    }

    /// Returns when that state ends, if that is known.
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

    /// Whether a key can be dropped: it was removed at least a day ago, and at least `younger` keys were
    /// added after it. [`Schedule::keys_kept`](super::schedule::Schedule::keys_kept) says why the clock alone
    /// does not decide.
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

    /// Returns when the next key begins to sign instead of this one.
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
    fn before_the_first_activation_the_first_key_signs() {
        use KeyState::*;
        assert_eq!(states(&lives(&[100, 200]), 50), [Active, Standby]);
        assert_eq!(states(&[], 50), []);
    }

    #[test]
    fn of_two_keys_with_the_same_time_the_later_in_the_list_signs() {
        use KeyState::*;
        assert_eq!(states(&lives(&[100, 100]), 100), [Retiring, Active]);
    }

    #[test]
    fn a_key_is_removed_at_its_end_and_another_signs() {
        use KeyState::*;
        let mut lives = lives(&[0, 100, 5_000]);
        lives[1].ends = Some(300);
        assert_eq!(states(&lives, 299), [Retiring, Active, Standby]);
        assert_eq!(states(&lives, 300), [Active, Removed, Standby]);
        // The first key has retired long before, so it does not become active again.
        lives[1].ends = Some(2_000);
        assert_eq!(states(&lives, 2_000), [Removed, Removed, Active]);
        lives.pop();
        assert_eq!(states(&lives, 2_000), [Removed, Removed]);
    }

    proptest! {
        /// One key signs, states only move forward, and each key is accepted for long enough after it has
        /// signed.
        #[test]
        fn the_state_of_a_key_never_goes_back(
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
                    // Before the first activation, the first key signs.
                    prop_assert!(order(state) >= before[index]);
                    before[index] = order(state);
                    if state == KeyState::Active {
                        signed[index] = Some(now);
                    }
                    // Its longest-lived token is still accepted.
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
