//! Keys: each is bound to exactly one algorithm, is parsed once, and is refused if it is too weak.

pub(crate) mod algorithm;
mod backend;
mod changes;
mod health;
mod jwk;
mod material;
mod pem;
pub(crate) mod ring;
mod set;
pub(crate) mod signing;
mod strength;
mod thumbprint;
pub(crate) mod verifying;
#[cfg(test)]
mod wycheproof;

pub use health::{KeyChange, KeySourceHealth, KeySourceState};
pub use ring::{
    DEFAULT_CHECK_EVERY, DEFAULT_PUBLISH_FOR, DEFAULT_RETIRE_FOR, DEFAULT_ROTATE_EVERY,
    KeyRingBuilder, KeyState, KeyStatus,
};
pub use set::{KeyLookup, KeySet, KeySource};
pub use strength::{MAX_KEY_ID_BYTES, MIN_RSA_BITS};

pub(crate) use algorithm::Algorithm;
pub(crate) use backend::same_digest;
#[cfg(feature = "jwks")]
pub(crate) use changes::{Changes, replaced};
pub(crate) use jwk::{digest, sha256, shown};
pub(crate) use ring::KeyRing;
pub(crate) use set::{DynKeySource, KeyMiss};
#[cfg(feature = "jwks")]
pub(crate) use set::{not_a_set, why_skipped};
pub(crate) use signing::SigningKey;
#[cfg(feature = "testing")]
pub(crate) use signing::sign_with_any_secret;
pub(crate) use strength::check_key_id;
pub(crate) use thumbprint::Thumbprint;
pub(crate) use verifying::{ProofKeyFault, VerifyingKey};
