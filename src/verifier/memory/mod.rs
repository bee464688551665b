//! [`Memory`]: caches tokens whose signature is valid. It saves work but decides nothing: a cached token is
//! judged like any other.

mod headers;
#[cfg(feature = "cache")]
mod marks;
#[cfg(feature = "cache")]
mod seen;

pub(super) use headers::KnownHeader;
#[cfg(feature = "cache")]
pub use seen::DEFAULT_CACHED_TOKENS;

use super::judge::VerifiedToken;
use super::keys::Keys;
use super::proof::Proved;
use crate::codec::Header;
use crate::error::AuthError;
#[cfg(feature = "cache")]
use crate::error::AuthErrorKind;
use crate::keys::VerifyingKey;
use headers::KnownHeaders;
#[cfg(feature = "cache")]
use seen::{SeenTokens, Sight};

/// The tokens and headers that one verifier has seen. No other verifier shares them.
pub(super) struct Memory {
    headers: KnownHeaders,
    #[cfg(feature = "cache")]
    tokens: Option<SeenTokens>,
}

/// The token that is being verified.
pub(super) struct Shown<'t> {
    pub(super) token: &'t [u8],
    #[cfg(feature = "cache")]
    sight: Option<Sight<'t>>,
}

// === impl Memory ===

impl Memory {
    /// Makes room for this many tokens. Without the feature `cache`, none are kept.
    pub(super) fn new(tokens: usize) -> Self {
        #[cfg(not(feature = "cache"))]
        let _ = tokens;
        Self {
            headers: KnownHeaders::default(),
            #[cfg(feature = "cache")]
            tokens: (tokens > 0).then(|| SeenTokens::new(tokens)),
        }
    }

    pub(super) fn show<'t>(&self, token: &'t [u8]) -> Shown<'t> {
        Shown {
            token,
            #[cfg(feature = "cache")]
            sight: self.tokens.as_ref().and_then(|tokens| tokens.sight(token)),
        }
    }

    /// Returns the token if the same bytes were proved before, and the key that proved them is still trusted.
    pub(super) fn recall(&self, shown: &Shown<'_>, keys: &Keys) -> Option<Proved> {
        #[cfg(feature = "cache")]
        if let (Some(tokens), Some(sight)) = (&self.tokens, &shown.sight) {
            return tokens.recall(sight, keys);
        }
        let _ = (shown, keys);
        None
    }

    /// Whether the same bytes were proved before, with a key that may not be trusted any more.
    pub(super) fn remembers(&self, token: &[u8]) -> bool {
        #[cfg(feature = "cache")]
        if let (Some(tokens), Some(sight)) = (&self.tokens, self.show(token).sight) {
            return tokens.remembers(&sight);
        }
        let _ = token;
        false
    }

    /// Returns the parsed header if a token with the same header was proved before.
    pub(super) fn header(&self, encoded: &[u8]) -> Option<KnownHeader> {
        self.headers.find(encoded)
    }

    /// Adds the header of a token whose signature is valid. Headers of other tokens are never kept.
    pub(super) fn add_header(&self, encoded: &[u8], header: &Header<'_>) {
        self.headers.add(encoded, header);
    }

    /// Returns the key if the token, whose signature it has just verified, is to be kept.
    pub(super) fn wants(&self, shown: &Shown<'_>, key: &VerifyingKey) -> Option<VerifyingKey> {
        #[cfg(feature = "cache")]
        if let (Some(tokens), Some(sight)) = (&self.tokens, &shown.sight)
            && tokens.wants(sight)
        {
            return Some(key.clone());
        }
        let _ = (shown, key);
        None
    }

    /// Acts on a verdict: keeps a token that was accepted and is to be kept, and drops one that has expired.
    pub(super) fn note(
        &self,
        shown: &Shown<'_>,
        is_recalled: bool,
        verdict: &Result<VerifiedToken, AuthError>,
    ) {
        #[cfg(feature = "cache")]
        if let (Some(tokens), Some(sight)) = (&self.tokens, &shown.sight) {
            match verdict {
                Ok(verified) if !is_recalled => tokens.keep(sight, verified.proved()),
                Err(error) if is_recalled && error.kind() == AuthErrorKind::Expired => {
                    tokens.forget(sight);
                }
                _ => {}
            }
        }
        let _ = (shown, is_recalled, verdict);
    }
}
