//! [`Keys`]: finds the key that a token names.

use std::sync::Arc;

use crate::keys::{DynKeySource, KeyLookup, KeyMiss, KeySet, KeySourceHealth, VerifyingKey};

/// The keys of a verifier. Fixed keys are borrowed for a verification; a source hands out shared ones.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(KeySet),
    Source(Arc<dyn DynKeySource>),
}

// === impl Keys ===

impl Keys {
    /// Calls `open` with the key that the header names.
    pub(super) fn with_key<T>(
        &self,
        key_id: Option<&str>,
        alg: &str,
        open: impl FnOnce(&VerifyingKey) -> T,
    ) -> Result<T, KeyMiss> {
        match self {
            Self::Fixed(set) => set.lookup(key_id, alg).map(open),
            Self::Source(source) => match source.find(key_id, alg) {
                // A source must not stretch a key to another algorithm (RFC 8725 section 3.1).
                KeyLookup::Found(key) if key.algorithm().accepts(alg) => Ok(open(&key)),
                KeyLookup::Found(_) | KeyLookup::UnsupportedAlgorithm => {
                    Err(KeyMiss::UnsupportedAlgorithm)
                }
                KeyLookup::OtherAlgorithm => Err(KeyMiss::OtherAlgorithm),
                KeyLookup::UnknownKey => Err(KeyMiss::UnknownKey),
                KeyLookup::Ambiguous => Err(KeyMiss::Ambiguous),
            },
        }
    }

    /// Returns the state of the key source, or `None` if the keys are fixed.
    pub(super) fn health(&self) -> Option<KeySourceHealth> {
        match self {
            Self::Fixed(_) => None,
            Self::Source(source) => source.health(),
        }
    }
}
