//! [`KeySourceHealth`]: how a source of keys is doing, for health endpoints and metrics.

use std::fmt;
use std::time::Duration;

/// Whether the keys of a source can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySourceState {
    /// There were never any: tokens are answered with 503.
    Empty,
    /// They are as new as the issuer asks for.
    Fresh,
    /// They are older than that, because they could not be fetched again; they still count.
    Stale,
    /// They are too old to count: tokens are answered with 503.
    Expired,
}

/// How a [`KeySource`](super::KeySource) is doing. It holds nothing secret.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeySourceHealth {
    /// Whose keys they are: an issuer, or the address that they come from.
    pub name: String,
    /// Whether they can be relied on.
    pub state: KeySourceState,
    /// How many keys there are.
    pub keys: usize,
    /// How many keys of the last document were of no use here.
    pub skipped: usize,
    /// Why each of them was skipped: its number in the document, its `kid` if it has one, and the reason.
    pub skipped_reasons: Vec<String>,
    /// The last keys that were replaced under their id, the newest first; at most 8.
    pub changed: Vec<KeyChange>,
    /// How long ago they were fetched; none if never.
    pub age: Option<Duration>,
    /// How many attempts in a row have failed since then.
    pub failures: u32,
    /// Why the last attempt failed; `None` if it did not. For a key ring, its
    /// [`problem`](super::KeyRing::problem).
    pub last_error: Option<String>,
}

/// A key that its owner replaced by another one with the same key id.
///
/// Providers should give a new key a new id: until a verifier has noticed, it refuses the tokens of
/// the new key, and then at once those of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChange {
    /// The key id that both keys have.
    pub key_id: String,
    /// How long ago the new key was noticed.
    pub age: Duration,
}

// === impl KeySourceState ===

impl KeySourceState {
    /// Whether tokens can be judged by the keys.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }

    /// A stable, lower-case name for health endpoints and metric labels.
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
    /// The health of a source of your own; the other fields are zero, or none.
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
