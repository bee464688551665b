//! The responses to refused requests.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::tell;
use crate::challenge::Scheme;
use crate::dpop;
use crate::error::AuthError;

/// Makes the response to a request that was refused.
///
/// It is implemented for closures `Fn(&AuthError) -> Response<B>`. The error says what is wrong, and whether
/// the client speaks gRPC ([`AuthError::grpc_content_type`]). The layer adds `WWW-Authenticate` and
/// `Retry-After` unless the response already has them. A 404, which hides that the resource exists, and a
/// redirect get no challenge.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a refusal with the body type `{B}`",
    label = "makes no response with the body type `{B}`",
    note = "add `.on_error(|error: &AuthError| ..)` with a closure that returns `http::Response<{B}>`",
    note = "without `on_error`, the body type must implement `Default`; for `ProblemJson`, it must implement `From<String>`"
)]
pub trait ResponseForAuthError<B> {
    /// Returns the response. Its status should be [`AuthError::status`].
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B>;
}

/// Answers refused requests with an empty body. This is the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyBody;

/// Answers refused requests with a problem document (RFC 9457). It has the members `type`, `title`, `status`
/// and `detail`, and `error` with the [error code](AuthError::code) if there is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson;

/// The body of [`ProblemJson`].
#[derive(Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: Option<&'static str>,
    status: u16,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Answers refused requests as the layer in front would. This is the default of [guards](crate::guard).
/// Without a layer, or if the layer has another body type, the body is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct SameAsLayer;

impl<B, F: Fn(&AuthError) -> Response<B>> ResponseForAuthError<B> for F {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        self(error)
    }
}

impl<B: Default> ResponseForAuthError<B> for EmptyBody {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = error.status();
        response
    }
}

impl<B: Default + 'static> ResponseForAuthError<B> for SameAsLayer {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        let responder = error.refusals().and_then(|refusals| {
            let responder = refusals.responder.as_ref()?;
            responder.downcast_ref::<Responder<B>>()
        });
        match responder {
            Some(responder) => responder.response_for_auth_error(error),
            None => EmptyBody.response_for_auth_error(error),
        }
    }
}

impl<B: From<String>> ResponseForAuthError<B> for ProblemJson {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        let status = error.status();
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason(),
            status: status.as_u16(),
            detail: error.client_message(),
            error: error.code(),
        };
        let body = serde_json::to_string(&problem).unwrap_or_default(); // texts and a number: it cannot fail
        let mut response = Response::new(B::from(body));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// Returns the complete response to an error, for handlers and services of your own: the response that
/// `respond` makes, with the challenge headers added, and with the error in its extensions for logs.
///
/// ```
/// use http::Response;
/// use tower_jwt_auth::{AuthError, AuthErrorKind};
/// use tower_jwt_auth::layer::{response_for, ProblemJson};
///
/// let response: Response<String> = response_for(&ProblemJson, AuthErrorKind::Expired.into());
/// assert_eq!(response.headers()["WWW-Authenticate"], r#"Bearer realm="api", error="invalid_token""#);
/// assert!(response.body().contains(r#""error":"invalid_token""#));
/// ```
pub fn response_for<B, R>(respond: &R, error: AuthError) -> Response<B>
where
    R: ResponseForAuthError<B> + ?Sized,
{
    tell::refusal(&error);
    let mut response = respond.response_for_auth_error(&error);
    let status = response.status();
    // A 404 that hides the resource, or a redirect to a login page, must not have a challenge.
    let may_challenge = status != StatusCode::NOT_FOUND && !status.is_redirection();
    add_headers(response.headers_mut(), &error, may_challenge);
    response.extensions_mut().insert(error);
    response
}

/// Returns the response that the layer in front would make to an error, as set by
/// [`on_error`](crate::JwtAuthLayer::on_error).
///
/// The error must come from a token that the layer has let through, for example from
/// [`VerifiedToken::require`](crate::VerifiedToken::require), or from an extractor. For any other error, or
/// if the layer has another body type, the body is empty.
///
/// With axum, just return the [`AuthError`]: it implements `IntoResponse`.
#[must_use]
pub fn error_response<B: Default + 'static>(error: AuthError) -> Response<B> {
    response_for(&SameAsLayer, error)
}

/// Makes the refusals of a layer with the body type `B`.
pub(crate) type Responder<B> = Arc<dyn ResponseForAuthError<B> + Send + Sync>;

pub(super) fn add_headers(headers: &mut HeaderMap, error: &AuthError, may_challenge: bool) {
    let challenged = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .any(is_our_challenge);
    if may_challenge && !challenged {
        for text in error.challenges() {
            let challenge = match text {
                Cow::Borrowed(text) => Some(HeaderValue::from_static(text)),
                Cow::Owned(text) => HeaderValue::try_from(text).ok(),
            };
            if let Some(challenge) = challenge {
                headers.append(WWW_AUTHENTICATE, challenge); // keeps the challenges of other schemes
            }
        }
    }
    if let Some(nonce) = error.dpop_nonce() {
        dpop::add_nonce(headers, nonce.clone());
    } else if error.is_about_dpop() {
        dpop::expose(headers);
    }
    if let Some(after) = error.retry_after() {
        headers
            .entry(RETRY_AFTER)
            .or_insert_with(|| retry_after(after));
    }
}

/// Returns the value of `Retry-After`: whole seconds, rounded up (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(after: Duration) -> HeaderValue {
    let begun = u64::from(after.subsec_nanos() > 0);
    HeaderValue::from(after.as_secs().saturating_add(begun))
}

fn is_our_challenge(value: &HeaderValue) -> bool {
    [Scheme::Bearer, Scheme::Dpop].iter().any(|scheme| {
        let scheme = scheme.as_str().as_bytes();
        let start = value.as_bytes().get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}
