//! [`Scoped`]: a token that has certain scopes, proved by its type.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::scopes::Scopes;
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::VerifiedToken;

/// A verified token that has the scopes `S`. With axum, it is an extractor.
///
/// It dereferences to the [`VerifiedToken`]. It can only be made by a check, so a function that takes a
/// `Scoped<OrdersWrite>` cannot be called without the scope.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_jwt_auth::JwtAuthLayer;
/// use tower_jwt_auth::guard::{AnyOf, Scoped};
///
/// tower_jwt_auth::scopes! {
///     struct OrdersRead = "orders:read";
///     struct OrdersWrite = "orders:write";
///     struct Admin = "admin";
/// }
///
/// async fn list(user: Scoped<OrdersRead>) -> String {
///     format!("the orders of {}", user.subject().unwrap_or_default())
/// }
///
/// /// Requires all scopes of a tuple.
/// async fn edit(_: Scoped<(OrdersRead, OrdersWrite)>) {}
/// /// Requires one scope of a tuple.
/// async fn audit(_: Scoped<AnyOf<(Admin, OrdersRead)>>) {}
///
/// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
/// let app: Router = Router::new()
///     .route("/orders", get(list).put(edit))
///     .route("/audit", get(audit))
///     .route_layer(JwtAuthLayer::new(verifier));
/// # let _ = app; } }
/// ```
///
/// A malformed scope does not compile. The same types work in a layer, by
/// [`Require::scoped`](crate::Require::scoped), and [`Scopes::alternatives`] lists the scopes of a route for
/// an OpenAPI description.
pub struct Scoped<S> {
    token: VerifiedToken,
    scopes: PhantomData<fn() -> S>,
}

// === impl Scoped ===

impl<S: Scopes> Scoped<S> {
    /// Checks the scopes of a token.
    ///
    /// # Errors
    ///
    /// Fails with 403 `insufficient_scope` if the token does not have the required scopes.
    pub fn new(token: VerifiedToken) -> Result<Self, AuthError> {
        if S::are_granted(&token) {
            let scopes = PhantomData;
            return Ok(Self { token, scopes });
        }
        // The requirement makes the response, so that it is the same as that of a layer.
        let refused = token.require(&S::requirement());
        Err(refused
            .err()
            .unwrap_or_else(|| AuthErrorKind::Internal.into()))
    }

    /// Returns the token.
    #[must_use]
    pub fn into_token(self) -> VerifiedToken {
        self.token
    }
}

impl<S> Deref for Scoped<S> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.token
    }
}

impl<S> Clone for Scoped<S> {
    fn clone(&self) -> Self {
        Self {
            token: self.token.clone(),
            scopes: PhantomData,
        }
    }
}

impl<S> fmt::Debug for Scoped<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.token).finish()
    }
}
