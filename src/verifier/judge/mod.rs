//! [`Judge`]: from a [`Proved`] token to a [`VerifiedToken`]. Nobody else makes one of a token, so no rule can
//! be passed over, however it was proved.

mod revocations;
mod verified;

pub(crate) use revocations::{Progress, Revocations};
pub(crate) use verified::Credential;
pub use verified::VerifiedToken;

use std::sync::Arc;

use super::proof::{Facts, Proved};
use crate::clock::{Clock, unix_seconds};
use crate::error::AuthError;
use crate::policy::Policy;

/// The rules of one verifier, with what they need to know of the world.
pub(super) struct Judge {
    pub(super) policy: Policy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) revocations: Revocations,
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
}
