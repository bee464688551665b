//! Extractors for axum: [`JwtClaims`] and [`VerifiedToken`], required or optional.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::claims::set::Claims;
use crate::error::{AuthError, AuthErrorKind};
use crate::layer::{IgnoredCookie, Seen, error_response};
use crate::verifier::VerifiedToken;

/// The verified claims of the request's token, as a type of yours.
///
/// It is an extractor for axum. A [`JwtAuthLayer`](crate::JwtAuthLayer) must be in front of the route. The
/// type only needs to implement `Deserialize`. Each extractor parses the claims again; to share the result,
/// extract the [`VerifiedToken`] and call [`claims`](VerifiedToken::claims).
///
/// If the compiler says that the handler does not implement `Handler`, most likely the type does not
/// implement `Deserialize`. Add `#[axum::debug_handler]` to the handler to see the reason.
///
/// ```
/// use axum::{Router, routing::get};
/// use serde::Deserialize;
/// use tower_jwt_auth::{JwtAuthLayer, JwtClaims};
///
/// #[derive(Deserialize)]
/// struct User {
///     sub: String,
///     tenant: u32,
/// }
///
/// async fn me(JwtClaims(user): JwtClaims<User>) -> String {
///     format!("{} of {}", user.sub, user.tenant)
/// }
///
/// /// Behind `JwtAuthLayer::new(verifier).optional()`.
/// async fn greet(user: Option<JwtClaims<User>>) -> String {
///     user.map_or("Hello".into(), |JwtClaims(user)| format!("Hello, {}", user.sub))
/// }
///
/// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
/// let app: Router =
///     Router::new().route("/me", get(me)).route_layer(JwtAuthLayer::new(verifier));
/// # let _ = (app, get::<_, _, ()>(greet)); }
/// ```
///
/// # Rejections
///
/// - No token, behind an [optional](crate::JwtAuthLayer::optional) layer: 401.
/// - A valid token whose claims do not fit `C`: 403, because another token of the same kind would not help
///   either ([`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch)). The source of the error names the claim. The
///   same applies to `Option<JwtClaims<C>>`. If some tokens lack a claim, make that field an `Option`.
/// - No layer: 500. The error says what to add.
#[derive(Debug, Clone, Copy, Default)]
pub struct JwtClaims<C = Claims>(pub C);

impl<S, C> FromRequestParts<S> for JwtClaims<C>
where
    S: Send + Sync,
    C: DeserializeOwned,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        match verified(parts)? {
            Some(token) => claims_of(token),
            None => Err(missing(parts)),
        }
    }
}

impl<S, C> OptionalFromRequestParts<S> for JwtClaims<C>
where
    S: Send + Sync,
    C: DeserializeOwned,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthError> {
        verified(parts)?.map(claims_of).transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VerifiedToken {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        match verified(parts)? {
            Some(token) => Ok(token.clone()),
            None => Err(missing(parts)),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for VerifiedToken {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthError> {
        verified(parts).map(Option::<&Self>::cloned)
    }
}

/// Extracts the bad cookie that was ignored, if any.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IgnoredCookie {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

impl IntoResponse for AuthError {
    /// Returns the response with its status, its challenge or `Retry-After`, and the body that
    /// [`JwtAuthLayer::on_error`](crate::JwtAuthLayer::on_error) of the layer in front makes. The body is
    /// empty if the error does not come from a token or an extractor behind a layer.
    fn into_response(self) -> Response {
        error_response::<Body>(self)
    }
}

/// Returns the token from the layer in front, or `None` if that let the request through without one. Fails if
/// there is no layer.
fn verified(parts: &Parts) -> Result<Option<&VerifiedToken>, AuthError> {
    match parts.extensions.get() {
        Some(token) => Ok(Some(token)),
        None if parts.extensions.get::<Seen>().is_some() => Ok(None),
        None => Err(AuthErrorKind::MissingLayer.into()),
    }
}

fn claims_of<C>(token: &VerifiedToken) -> Result<JwtClaims<C>, AuthError>
where
    C: DeserializeOwned,
{
    token.read().map(JwtClaims)
}

fn missing(parts: &Parts) -> AuthError {
    let seen = parts.extensions.get::<Seen>();
    let error = AuthError::new(AuthErrorKind::MissingToken);
    error.told_by(seen.and_then(|seen| seen.refusals.as_ref()))
}
