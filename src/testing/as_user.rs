//! [`as_user`]: a request that comes from a verified user, without any token.

use http::Request;

use crate::credential::CredentialClaims;
use crate::error::AuthError;
use crate::policy::Possession;

/// Puts a [`VerifiedToken`](crate::VerifiedToken) with these claims into a request, as a layer does. Use it
/// in tests of handlers and guards without a layer in front of them. If there is a layer, it verifies the
/// credentials of the request itself, and replaces this token.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, body::Body, routing::get};
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// use tower_jwt_auth::credential::CredentialClaims;
/// use tower_jwt_auth::testing::as_user;
/// use tower_jwt_auth::{Require, VerifiedToken};
///
/// async fn me(token: VerifiedToken) -> String {
///     token.subject().unwrap_or_default().to_owned()
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let routes: Router = Router::new().route("/me", get(me)).route_layer(Require::role("admin"));
/// let request = || Request::get("/me").body(Body::empty());
///
/// let admin = CredentialClaims::builder("alice").role("admin").build()?;
/// let response = routes.clone().oneshot(as_user(request()?, admin)?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
///
/// let user = CredentialClaims::builder("bob").build()?;
/// let response = routes.oneshot(as_user(request()?, user)?).await?;
/// assert_eq!(response.status(), StatusCode::FORBIDDEN);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Fails if the claims have expired.
pub fn as_user<B>(
    mut request: Request<B>,
    claims: CredentialClaims,
) -> Result<Request<B>, AuthError> {
    request
        .extensions_mut()
        .insert(claims.verified(&Possession::BEARER)?);
    Ok(request)
}
