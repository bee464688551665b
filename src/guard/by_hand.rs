//! Requirements in handlers.

use super::decide::Start;
use super::require::Require;
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::VerifiedToken;

/// Requirements by hand.
impl VerifiedToken {
    /// Checks a requirement in a handler. The error is the response that [`Require`] as a layer would
    /// give, with the look of the [`JwtAuthLayer`](crate::JwtAuthLayer) in front.
    ///
    /// ```
    /// use tower_jwt_auth::{AuthError, Require, VerifiedToken};
    ///
    /// async fn archive(token: VerifiedToken) -> Result<String, AuthError> {
    ///     token.require(&Require::scope("orders:write"))?;
    ///     Ok("archived".into())
    /// }
    /// # let _ = archive;
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the token does not have what is required, or if the requirement is empty or malformed.
    /// It also fails if the requirement contains [`that_async`](Require::that_async), which needs
    /// [`require_async`](Self::require_async).
    pub fn require(&self, requirement: &Require) -> Result<(), AuthError> {
        if requirement.needs_io() {
            let error = AuthError::new(AuthErrorKind::Internal).because(
                "the requirement contains an async predicate: call `token.require_async(&requirement).await`",
            );
            return Err(error.told_by(self.refusals()));
        }
        match requirement.start(self) {
            Start::Pass => Ok(()),
            Start::Refuse(error) => Err(error),
            Start::Wait(_) => Err(AuthErrorKind::Internal.into()),
        }
    }

    /// Checks a requirement that may contain async predicates. Otherwise the same as
    /// [`require`](Self::require).
    ///
    /// # Errors
    ///
    /// Fails if the token does not have what is required, if the requirement is empty or malformed, or
    /// if an async predicate fails.
    pub async fn require_async(&self, requirement: &Require) -> Result<(), AuthError> {
        match requirement.start(self) {
            Start::Pass => Ok(()),
            Start::Refuse(error) => Err(error),
            Start::Wait(checking) => checking.await,
        }
    }
}
