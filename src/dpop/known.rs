//! [`KnownKeys`]: caches the keys of clients whose proofs were accepted, so that each is parsed only once.

#[cfg(feature = "cache")]
use std::fmt;
use std::sync::Arc;

use crate::keys::{Thumbprint, VerifyingKey};

/// The most keys that are kept, with about 500 bytes each. Beyond that, a key that is seldom used is dropped.
#[cfg(feature = "cache")]
const MOST: usize = 4096;
/// The longest header that is cached, in bytes.
#[cfg(feature = "cache")]
const LONGEST: usize = 2048;

/// The content of a proof's header, after all checks.
#[derive(Debug, Clone)]
pub(super) struct ProofKey {
    pub(super) key: VerifyingKey,
    pub(super) thumbprint: Thumbprint,
}

/// The keys, by the complete encoded header of the proof.
///
/// All proofs of one client have the same header. A key is added only after its whole request was accepted,
/// so nobody can fill this with other keys.
pub(super) struct KnownKeys {
    #[cfg(feature = "cache")]
    keys: quick_cache::sync::Cache<Box<[u8]>, Arc<ProofKey>>,
}

// === impl KnownKeys ===

#[cfg(feature = "cache")]
impl KnownKeys {
    pub(super) fn find(&self, header: &[u8]) -> Option<Arc<ProofKey>> {
        self.keys.get(header)
    }

    pub(super) fn add(&self, header: Box<[u8]>, key: Arc<ProofKey>) {
        if header.len() <= LONGEST {
            self.keys.insert(header, key);
        }
    }
}

#[cfg(not(feature = "cache"))]
#[allow(clippy::unused_self, clippy::needless_pass_by_value)] // as with the cache
impl KnownKeys {
    pub(super) fn find(&self, _: &[u8]) -> Option<Arc<ProofKey>> {
        None
    }

    pub(super) fn add(&self, _: Box<[u8]>, _: Arc<ProofKey>) {}
}

impl KnownKeys {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(feature = "cache")]
            keys: quick_cache::sync::Cache::new(MOST),
        }
    }
}

#[cfg(feature = "cache")]
impl fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownKeys").finish_non_exhaustive()
    }
}
