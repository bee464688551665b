//! [`KnownKeys`]: the keys of clients whose proofs were accepted, so that they are parsed once.

#[cfg(feature = "cache")]
use std::fmt;
use std::sync::Arc;

use crate::keys::{Thumbprint, VerifyingKey};

/// How many keys are kept, of some 500 bytes each. Of more, one that is seldom used goes.
#[cfg(feature = "cache")]
const MOST: usize = 4096;
/// A longer header is parsed each time.
#[cfg(feature = "cache")]
const LONGEST: usize = 2048;

/// What the header of a proof says, once it was found good.
#[derive(Debug, Clone)]
pub(super) struct ProofKey {
    pub(super) key: VerifyingKey,
    pub(super) thumbprint: Thumbprint,
}

/// Keys by the encoded header of the proof, all of which is compared.
///
/// All proofs of one client have the same header. A key gets in only when a whole request was accepted, so
/// nobody fills this with keys that are bound to nothing.
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
