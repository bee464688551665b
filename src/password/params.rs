//! [`Argon2Params`]: the memory and time that one Argon2id hash takes.

use crate::password::error::Unfit;

/// The cost of one Argon2id hash: memory, passes over it, and lanes.
///
/// The terms are those of [RFC 9106](https://www.rfc-editor.org/rfc/rfc9106). Any values can be set;
/// [`build`](crate::password::PasswordServiceBuilder::build) refuses those that are too weak or too
/// expensive. [`calibrate`](Argon2Params::calibrate) proposes values for this machine.
///
/// ```
/// use tower_jwt_auth::PasswordService;
/// use tower_jwt_auth::password::Argon2Params;
///
/// let strong = Argon2Params::new(65_536, 3, 1);
/// assert!(PasswordService::builder().argon2(strong).build().is_ok());
///
/// let weak = Argon2Params::new(4096, 1, 1);
/// let refused = PasswordService::builder().argon2(weak).build().unwrap_err();
/// assert!(refused.to_string().starts_with("argon2 parameters are weaker than the OWASP minimum"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The weakest combinations of memory (KiB) and passes that the OWASP password storage cheat sheet considers
/// equally strong.
const FLOOR: [(u32, u32); 5] = [
    (47_104, 1),
    (19_456, 2),
    (12_288, 3),
    (9_216, 4),
    (7_168, 5),
];

const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 20;
const MAX_LANES: u32 = 16;

// === impl Argon2Params ===

impl Argon2Params {
    /// The default: 19 MiB, 2 passes, 1 lane. It is the first recommendation of the OWASP password storage
    /// cheat sheet, and takes about 15 to 30 ms of one core.
    pub const DEFAULT: Self = Self::new(19_456, 2, 1);

    /// Creates parameters from the memory in KiB, the number of passes over it, and the number of lanes.
    ///
    /// The lanes are computed one after the other, so a server gains nothing from more than one.
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Self {
        Self {
            memory_kib,
            passes,
            lanes,
        }
    }

    /// Returns the memory in KiB (`m`).
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes over the memory (`t`).
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes (`p`).
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// Returns the number of 1 KiB blocks that one hash needs.
    pub(super) fn blocks(self) -> usize {
        self.memory_kib as usize
    }

    /// Returns whether the algorithm is defined for these parameters.
    pub(super) fn is_possible(self) -> bool {
        self.passes >= 1 && self.lanes >= 1 && self.memory_kib / 8 >= self.lanes
    }

    /// Returns whether a stored hash with these parameters may be verified. The limit keeps a manipulated row
    /// from overloading the server.
    pub(super) fn is_within_caps(self) -> bool {
        self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= MAX_LANES
    }

    /// Returns whether any parameter is lower than that of `policy`.
    pub(super) fn is_weaker_than(self, policy: Self) -> bool {
        self.memory_kib < policy.memory_kib
            || self.passes < policy.passes
            || self.lanes < policy.lanes
    }

    pub(super) fn check(self, weak_allowed: bool) -> Result<(), Unfit> {
        if !self.is_possible() {
            return Err(Unfit::ImpossibleParameters);
        }
        if !self.is_within_caps() {
            return Err(Unfit::AboveCaps);
        }
        let meets_floor = FLOOR
            .iter()
            .any(|&(m, t)| self.memory_kib >= m && self.passes >= t);
        if meets_floor || weak_allowed {
            Ok(())
        } else {
            Err(Unfit::BelowFloor)
        }
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owasp_equivalent_meets_the_minimum() {
        for (memory, passes) in FLOOR {
            assert_eq!(Argon2Params::new(memory, passes, 1).check(false), Ok(()));
            let less = Argon2Params::new(memory - 1, passes, 1);
            assert_eq!(less.check(false), Err(Unfit::BelowFloor));
            assert_eq!(less.check(true), Ok(()));
        }
    }

    #[test]
    fn dangerous_weak_parameters_does_not_lift_the_limits() {
        for (memory, passes, lanes) in [(1_048_577, 2, 1), (19_456, 21, 1), (19_456, 2, 17)] {
            let error = Argon2Params::new(memory, passes, lanes).check(true);
            assert_eq!(error, Err(Unfit::AboveCaps));
        }
    }

    #[test]
    fn impossible_parameters_are_recognized() {
        for (memory, passes, lanes) in [(0, 1, 1), (7, 1, 1), (64, 0, 1), (64, 1, 0), (15, 1, 2)] {
            let error = Argon2Params::new(memory, passes, lanes).check(true);
            assert_eq!(error, Err(Unfit::ImpossibleParameters));
        }
    }
}
