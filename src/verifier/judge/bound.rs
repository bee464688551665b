//! The key or certificate that a [`VerifiedToken`] is bound to.

use super::verified::VerifiedToken;
use crate::error::AuthError;
use crate::policy::{Possession, check_binding};
use crate::verifier::binding::Binding;

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Returns the credential if the client has proved possession of what it is bound to.
    pub(crate) fn held_by(
        mut self,
        held: &Possession,
        takes_unproved: bool,
    ) -> Result<Self, AuthError> {
        self.bound = check_binding(&self.facts().payload, held, takes_unproved)?;
        Ok(self)
    }

    /// Returns how the token is bound to its client: to the key of a DPoP proof (RFC 9449), to the client
    /// certificate of the connection (RFC 8705), or not at all. The binding has been checked, unless it is
    /// [`Binding::Unproved`].
    ///
    /// ```
    /// use tower_jwt_auth::VerifiedToken;
    /// use tower_jwt_auth::verifier::Binding;
    ///
    /// fn may_transfer_money(token: &VerifiedToken) -> bool {
    ///     matches!(token.binding(), Binding::Dpop { .. } | Binding::DpopAndCertificate { .. })
    /// }
    /// ```
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        Binding::of(self.bound, self.facts().payload.confirmation())
    }

    /// Returns the thumbprint of the key that the token is bound to, whether or not the client has proved
    /// possession.
    pub(crate) fn key_thumbprint(&self) -> Option<&str> {
        let bound_to = self.facts().payload.confirmation()?;
        bound_to.key.value().map(AsRef::as_ref)
    }
}
