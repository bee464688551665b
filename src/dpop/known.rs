//! [`KnownKeys`]: caches the keys of clients whose proofs were accepted, so that each is parsed only once.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::{Thumbprint, VerifyingKey, sha256};

/// The most keys that are kept, with about 1 KiB each, and 5 KiB at most. Beyond that, a key that is seldom used
/// is dropped.
#[cfg(feature = "cache")]
const MOST: usize = 4096;
/// The longest header or token that is kept, in bytes.
const LONGEST: usize = 2048;

/// The content of a proof's header, after all checks.
#[derive(Debug)]
pub(super) struct ProofKey {
    pub(super) key: VerifyingKey,
    pub(super) thumbprint: Thumbprint,
    last_token: LastToken,
}

/// The last token of a client, with its hash as `ath` has it. A client uses a token for many requests.
#[derive(Default)]
struct LastToken(ArcSwapOption<(Box<[u8]>, TokenHash)>);

/// The SHA-256 of a token in base64url.
type TokenHash = [u8; 43];

// === impl ProofKey ===

impl ProofKey {
    pub(super) fn new(key: VerifyingKey, thumbprint: Thumbprint) -> Self {
        Self {
            key,
            thumbprint,
            last_token: LastToken::default(),
        }
    }

    /// Returns the hash of a token. It is computed only if the client used another token last time.
    pub(super) fn hash_of(&self, token: &[u8]) -> Option<TokenHash> {
        if let Some(last) = &*self.last_token.0.load()
            && *last.0 == *token
        {
            return Some(last.1);
        }
        let mut hash = [0; 43];
        let length = URL_SAFE_NO_PAD
            .encode_slice(sha256(token)?, &mut hash)
            .ok()?;
        if length != hash.len() {
            return None;
        }
        // Without the cache, the key is dropped after this request, so its token need not be kept.
        if cfg!(feature = "cache") && token.len() <= LONGEST {
            let last = Arc::new((token.into(), hash));
            self.last_token.0.store(Some(last));
        }
        Some(hash)
    }
}

impl fmt::Debug for LastToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
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
