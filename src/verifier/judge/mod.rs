//! [`Judge`]: turns a [`Proved`] token into a [`VerifiedToken`]. Nothing else can do so, which ensures that
//! every rule is applied, whether the token was cached or new.

mod bound;
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
#[cfg(feature = "jwks")]
use crate::policy::Bound;
use crate::policy::{Policy, Possession};

/// The rules of one verifier, with the clock and the stores that they need.
pub(crate) struct Judge {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) revocations: Revocations,
}

// === impl Judge ===

impl Judge {
    /// Checks a token by every rule that needs no store.
    pub(super) fn judge(
        &self,
        proved: Proved,
        held: &Possession,
    ) -> Result<VerifiedToken, AuthError> {
        self.check(&proved)?;
        let bound = self.policy.check_binding(&proved.facts().payload, held)?;
        Ok(VerifiedToken::of(proved, bound))
    }

    fn check(&self, proved: &Proved) -> Result<(), AuthError> {
        let Facts {
            typ,
            payload,
            further,
            ..
        } = proved.facts();
        let now = unix_seconds(&*self.clock);
        self.policy.check(*typ, payload, further, now)
    }

    /// Checks what an authorization server says about an opaque token, by the same rules as the claims of a
    /// JWT. The answer is cached for other requests, so the binding is checked per request: see
    /// `CredentialClaims::verified`.
    #[cfg(feature = "jwks")]
    pub(crate) fn judge_answer(&self, payload: Payload) -> Result<VerifiedToken, AuthError> {
        let proved = Proved::new(Facts {
            kind: CredentialKind::IntrospectedToken,
            typ: Typ::Absent,
            further: self.policy.read_further(&payload),
            expires_at: payload.expires_at().value().copied(),
            payload,
            proof: None,
            typed: TypedClaims::default(),
            id_by_claims: OnceLock::new(),
        });
        self.check(&proved)?;
        Ok(VerifiedToken::of(proved, Bound::Unproved))
    }
}
