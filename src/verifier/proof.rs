//! [`Proved`]: a token whose signature was found good, and which nobody has judged yet.

use std::sync::{Arc, OnceLock};

use super::kind::CredentialKind;
use super::typed::TypedClaims;
use crate::claims::NumericDate;
use crate::codec::{Header, Payload, Typ};
use crate::keys::VerifyingKey;
use crate::policy::Further;

/// A token whose signature was found good, now or when it came before.
///
/// Nothing can be done with it but to have it judged: [`Judge`](super::judge::Judge).
#[derive(Clone)]
pub(super) struct Proved {
    facts: Arc<Facts>,
}

/// What a credential says, and by what it was proved. It stays the same as long as the credential does.
pub(super) struct Facts {
    pub(super) kind: CredentialKind,
    pub(super) typ: Typ,
    pub(super) payload: Payload,
    pub(super) further: Further,
    /// None for a credential that ends only when somebody ends it.
    pub(super) expires_at: Option<NumericDate>,
    /// What the signature was found good by, if the token is to be known when it comes again.
    #[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is known"))]
    pub(super) proof: Option<Proof>,
    pub(super) typed: TypedClaims,
    /// The name for revocations of a provider's token without `jti`, made when it is asked for.
    pub(super) id_by_claims: OnceLock<Box<str>>,
}

/// What a token's signature was found good by.
#[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is known"))]
pub(super) struct Proof {
    pub(super) key: VerifyingKey,
    /// The same object for all tokens of a key.
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
