//! [`IssuerKeys`]: the keys that an issuer signs with and that its verifiers accept.

use std::borrow::Cow;

use crate::error::{AuthError, ConfigError};
use crate::keys::{
    KeyLookup, KeyRing, KeySet, KeySource, KeySourceHealth, SigningKey, VerifyingKey,
};
use crate::verifier::{TokenVerifier, TokenVerifierBuilder};

/// The keys that an issuer signs with: one key, or a ring of keys that take turns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IssuerKeys {
    /// One key, which never changes.
    Key(SigningKey),
    /// The active key of a ring.
    Ring(KeyRing),
}

/// The keys of a ring, and others that only verify.
#[derive(Debug)]
struct RingAndPrevious {
    ring: KeyRing,
    previous: KeySet,
}

// === impl IssuerKeys ===

impl IssuerKeys {
    /// Returns the key that signs now.
    pub(super) fn current(&self) -> Result<Cow<'_, SigningKey>, AuthError> {
        match self {
            Self::Key(key) => Ok(Cow::Borrowed(key)),
            Self::Ring(ring) => ring.signing_key().map(Cow::Owned),
        }
    }

    /// Returns every key that is accepted now.
    pub(crate) fn key_set(&self, previous: &[VerifyingKey]) -> Result<KeySet, ConfigError> {
        let own = match self {
            Self::Key(key) => KeySet::from(key.verifying_key()),
            Self::Ring(ring) => ring.key_set(),
        };
        KeySet::new(own.iter().chain(previous).cloned())
    }

    /// Starts a verifier that accepts these keys. If they are a ring, it follows the ring.
    pub(crate) fn verifier(
        &self,
        previous: &[VerifyingKey],
    ) -> Result<TokenVerifierBuilder, ConfigError> {
        let all = self.key_set(previous)?;
        Ok(match self {
            Self::Key(_) => TokenVerifier::builder().keys(all),
            Self::Ring(ring) if previous.is_empty() => {
                TokenVerifier::builder().key_source(ring.clone())
            }
            Self::Ring(ring) => TokenVerifier::builder().key_source(RingAndPrevious {
                ring: ring.clone(),
                previous: KeySet::new(previous.iter().cloned())?,
            }),
        })
    }
}

impl From<SigningKey> for IssuerKeys {
    fn from(key: SigningKey) -> Self {
        Self::Key(key)
    }
}

impl From<KeyRing> for IssuerKeys {
    fn from(ring: KeyRing) -> Self {
        Self::Ring(ring)
    }
}

impl KeySource for RingAndPrevious {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        let previous = KeySource::find(&self.previous, key_id, algorithm);
        match (self.ring.find(key_id, algorithm), previous) {
            // A token without a key id is only accepted if exactly one key fits.
            (KeyLookup::Ambiguous, _) | (_, KeyLookup::Ambiguous) => KeyLookup::Ambiguous,
            (KeyLookup::Found(_), KeyLookup::Found(_)) if key_id.is_none() => KeyLookup::Ambiguous,
            (KeyLookup::Found(key), _) | (_, KeyLookup::Found(key)) => KeyLookup::Found(key),
            (KeyLookup::OtherAlgorithm, _) | (_, KeyLookup::OtherAlgorithm) => {
                KeyLookup::OtherAlgorithm
            }
            (KeyLookup::UnsupportedAlgorithm, KeyLookup::UnsupportedAlgorithm) => {
                KeyLookup::UnsupportedAlgorithm
            }
            _ => KeyLookup::UnknownKey,
        }
    }

    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        self.ring.refresh(key_id).await
    }

    fn health(&self) -> Option<KeySourceHealth> {
        self.ring.health()
    }
}
