//! Pseudo-random numbers that are the same in each run, and a unique name for the run.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose test cases.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
}

// === impl Dice ===

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns one of the given values.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let place = self.next() % of.len().max(1) as u64;
        of[usize::try_from(place).unwrap_or(0)]
    }
}

/// Returns a text that no other run has, because a store may be checked twice.
pub(super) fn name_of_run() -> String {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes).expect("the system has no randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}
