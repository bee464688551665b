//! [`KeySourceHealth`]: the state of a key source, for health endpoints and metrics.

use std::fmt;
use std::time::Duration;

/// The state of the keys of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySourceState {
    /// No keys have been fetched yet. Requests are answered with 503.
    Empty,
    /// The keys are up to date.
    Fresh,
    /// The keys are past their lifetime, because they could not be fetched again, or a key ring has a
    /// [`problem`](super::KeyRing::problem). The keys are still used.
    Stale,
    /// The keys are too old to be used, and requests are answered with 503. A key ring is in this state if
    /// every key has reached its `exp`: then no token can be issued, and all tokens are refused with 401.
    Expired,
}

/// The state of a [`KeySource`](super::KeySource), for health endpoints and metrics. It contains nothing
/// secret.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeySourceHealth {
    /// The issuer of the keys, or the URL that they are fetched from.
    pub name: String,
    /// Whether the keys are up to date, and whether they are used.
    pub state: KeySourceState,
    /// The number of keys.
    pub keys: usize,
    /// The number of keys in the last document that are not used: unusable ones, and duplicates of others.
    pub skipped: usize,
    /// Why each unusable key was skipped: the number of the key in the document, its `kid` if it has one, and
    /// the reason. If keys share an id and an algorithm, the reason names the id only.
    pub skipped_reasons: Vec<String>,
    /// The last keys that were replaced by others with the same id, newest first, at most 8.
    pub changed: Vec<KeyChange>,
    /// The time since the keys were fetched, or `None` if they never were.
    pub age: Option<Duration>,
    /// The number of attempts to fetch the keys that have failed in a row since the last successful one.
    pub failures: u32,
    /// Why the last attempt failed, or `None` if it succeeded. For a key ring, it is the ring's
    /// [`problem`](super::KeyRing::problem).
    pub last_error: Option<String>,
}

/// A key that its owner has replaced by another one with the same key id.
///
/// Providers should give a new key a new id. Otherwise a verifier refuses the tokens of the new key until it
/// has noticed the change, and from then on those of the old key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChange {
    /// The key id that both keys have.
    pub key_id: String,
    /// The time since the new key was noticed.
    pub age: Duration,
}

// === impl KeySourceState ===

impl KeySourceState {
    /// Returns whether tokens can be verified with the keys.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }

    /// Returns the stable, lower-case name of the state, for health endpoints and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for KeySourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl KeySourceHealth ===

impl KeySourceHealth {
    /// Makes the state of a source of your own. The other fields are zero, empty or `None`.
    #[must_use]
    pub fn new(name: impl Into<String>, state: KeySourceState) -> Self {
        Self {
            name: name.into(),
            state,
            keys: 0,
            skipped: 0,
            skipped_reasons: Vec::new(),
            changed: Vec::new(),
            age: None,
            failures: 0,
            last_error: None,
        }
    }
}
