//! Requirements that handlers check themselves.

use super::decide::Start;
use super::require::Require;
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::VerifiedToken;

/// Requirements in handlers.
impl VerifiedToken {
    /// Checks a requirement in a handler. The error makes the same response as [`Require`] does as a layer,
    /// with the body that the [`JwtAuthLayer`](crate::JwtAuthLayer) in front makes.
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
    /// Fails if the token does not meet the requirement, or if the requirement is empty or malformed. It also
    /// fails if the requirement contains [`that_async`](Require::that_async): use
    /// [`require_async`](Self::require_async) for that.
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

    /// Checks a requirement that may contain async predicates. Apart from that, it does the same as
    /// [`require`](Self::require).
    ///
    /// # Errors
    ///
    /// Fails if the token does not meet the requirement, if the requirement is empty or malformed, or if an
    /// async predicate returns an error.
    pub async fn require_async(&self, requirement: &Require) -> Result<(), AuthError> {
        match requirement.start(self) {
            Start::Pass => Ok(()),
            Start::Refuse(error) => Err(error),
            Start::Wait(checking) => checking.await,
        }
    }
}
