//! [`Proved`]: a token whose signature is valid, but whose claims have not been checked yet.

use std::sync::{Arc, OnceLock};

use super::kind::CredentialKind;
use super::typed::TypedClaims;
use crate::claims::NumericDate;
use crate::codec::{Header, Payload, Typ};
use crate::keys::VerifyingKey;
use crate::policy::Further;

/// A token whose signature is valid, checked now or when the token was seen before.
///
/// The only thing to do with it is to pass it to the [`Judge`](super::judge::Judge).
#[derive(Clone)]
pub(super) struct Proved {
    facts: Arc<Facts>,
}

/// What a credential says, and how it was proved. Both stay the same for the life of the credential.
pub(super) struct Facts {
    pub(super) kind: CredentialKind,
    pub(super) typ: Typ,
    pub(super) payload: Payload,
    pub(super) further: Further,
    /// `None` for a credential that never expires and is valid until it is revoked.
    pub(super) expires_at: Option<NumericDate>,
    /// What the signature was checked with, if the token is to be cached.
    #[cfg_attr(
        not(feature = "cache"),
        expect(dead_code, reason = "only the cache of tokens reads it")
    )]
    pub(super) proof: Option<Proof>,
    pub(super) typed: TypedClaims,
    /// The id under which a provider's token without `jti` is revoked; computed when it is first needed.
    pub(super) id_by_claims: OnceLock<Box<str>>,
}

/// What a token's signature was checked with.
#[cfg_attr(
    not(feature = "cache"),
    expect(dead_code, reason = "only the cache of tokens reads it")
)]
pub(super) struct Proof {
    pub(super) key: VerifyingKey,
    /// Shared by all tokens of a key.
    pub(super) header: Arc<Header<'static>>,
}

// === impl Proved ===

impl Proved {
    pub(super) fn new(facts: Facts) -> Self {
        let facts = Arc::new(facts);
        Self { facts }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }
}
