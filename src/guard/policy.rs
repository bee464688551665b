//! [`Policy`]: a requirement with a name, and [`Allowed`]: a token that meets it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

#[cfg(feature = "axum")]
use super::decide::Start;
use super::require::Require;
use crate::error::AuthError;
#[cfg(feature = "axum")]
use crate::error::AuthErrorKind;
use crate::verifier::VerifiedToken;

/// A named requirement, as a type, for the extractor [`Allowed`]. `S` is the state of the application.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use std::sync::LazyLock;
/// use axum::{Router, routing::get};
/// use tower_jwt_auth::{JwtAuthLayer, Require};
/// use tower_jwt_auth::guard::{Allowed, Policy};
///
/// /// A requirement that does not depend on the state.
/// struct Auditors;
///
/// impl<S> Policy<S> for Auditors {
///     fn requirement(_: &S) -> &Require {
///         static AUDITORS: LazyLock<Require> = LazyLock::new(|| Require::any_role(["auditor", "admin"]));
///         &AUDITORS
///     }
/// }
///
/// /// A requirement from the state, built at start-up.
/// struct MayRefund;
///
/// #[derive(Clone)]
/// struct App {
///     may_refund: Require,
/// }
///
/// impl Policy<App> for MayRefund {
///     fn requirement(app: &App) -> &Require {
///         &app.may_refund
///     }
/// }
///
/// async fn audit(user: Allowed<Auditors>) -> String {
///     format!("the log, for {}", user.subject().unwrap_or_default())
/// }
/// async fn refund(_: Allowed<MayRefund>) {}
///
/// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
/// let app: Router = Router::new()
///     .route("/audit", get(audit))
///     .route("/refund", get(refund))
///     .route_layer(JwtAuthLayer::new(verifier))
///     .with_state(App { may_refund: Require::claim_contains("groups", "billing") });
/// # let _ = app; } }
/// ```
pub trait Policy<S>: 'static {
    /// Returns the requirement. It is called for each request, so it should not build a new one.
    fn requirement(state: &S) -> &Require;
}

/// A verified token that meets the [`Policy`] `P`. It dereferences to the [`VerifiedToken`]. With axum, it is
/// an extractor.
pub struct Allowed<P> {
    token: VerifiedToken,
    policy: PhantomData<fn() -> P>,
}

// === impl Allowed ===

impl<P> Allowed<P> {
    /// Checks that a token meets the policy.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`VerifiedToken::require_async`].
    pub async fn new<S>(token: VerifiedToken, state: &S) -> Result<Self, AuthError>
    where
        P: Policy<S>,
    {
        token.require_async(P::requirement(state)).await?;
        let policy = PhantomData;
        Ok(Self { token, policy })
    }

    #[cfg(feature = "axum")]
    pub(crate) async fn from_extensions<S>(
        extensions: &http::Extensions,
        state: &S,
    ) -> Result<Self, AuthError>
    where
        P: Policy<S>,
    {
        match P::requirement(state).start_in(extensions) {
            Start::Pass => {}
            Start::Refuse(error) => return Err(error),
            Start::Wait(checking) => checking.await?,
        }
        let token = extensions.get::<VerifiedToken>().cloned();
        let token = token.ok_or(AuthErrorKind::MissingLayer)?;
        let policy = PhantomData;
        Ok(Self { token, policy })
    }

    /// Returns the token.
    #[must_use]
    pub fn into_token(self) -> VerifiedToken {
        self.token
    }
}

impl<P> Deref for Allowed<P> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.token
    }
}

impl<P> Clone for Allowed<P> {
    fn clone(&self) -> Self {
        Self {
            token: self.token.clone(),
            policy: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Allowed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Allowed").field(&self.token).finish()
    }
}
