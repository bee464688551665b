//! [`Judge`]: from a [`Proved`] token to a [`VerifiedToken`]. Nobody else makes one of a token, so no rule can
//! be passed over, however it was proved.

mod revocations;
mod verified;

pub(crate) use revocations::{Progress, Revocations};
pub use verified::VerifiedToken;
pub(crate) use verified::{Credential, REVOKED_API_KEYS};

use std::sync::Arc;
#[cfg(feature = "jwks")]
use std::sync::OnceLock;

#[cfg(feature = "jwks")]
use super::kind::CredentialKind;
use super::proof::{Facts, Proved};
#[cfg(feature = "jwks")]
use super::typed::TypedClaims;
use crate::clock::{Clock, unix_seconds};
#[cfg(feature = "jwks")]
use crate::codec::{Payload, Typ};
use crate::error::AuthError;
use crate::policy::Policy;

/// The rules of one verifier, with what they need to know of the world.
pub(crate) struct Judge {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) revocations: Revocations,
}

// === impl Judge ===

impl Judge {
    /// Judges a token by every rule that needs no store.
    pub(super) fn judge(&self, proved: Proved) -> Result<VerifiedToken, AuthError> {
        let Facts {
            typ,
            payload,
            further,
            ..
        } = proved.facts();
        let now = unix_seconds(&*self.clock);
        self.policy.check(*typ, payload, further, now)?;
        Ok(VerifiedToken::of(proved))
    }

    /// Judges what an authorization server says about a token, by the same rules as the claims of a
    /// token that it has signed.
    #[cfg(feature = "jwks")]
    pub(crate) fn judge_answer(&self, payload: Payload) -> Result<VerifiedToken, AuthError> {
        self.judge(Proved::new(Facts {
            kind: CredentialKind::Introspection,
            typ: Typ::Absent,
            further: self.policy.read_further(&payload),
            expires_at: payload.expires_at().value().copied(),
            payload,
            proof: None,
            typed: TypedClaims::default(),
            id_by_claims: OnceLock::new(),
        }))
    }
}
