//! The answers to refused requests.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::tell;
use crate::challenge::Scheme;
use crate::dpop;
use crate::error::AuthError;

/// Makes the response to a request that was refused.
///
/// It is implemented for closures `Fn(&AuthError) -> Response<B>`. The error says what is wrong, and
/// whether the client speaks gRPC ([`AuthError::grpc_content_type`]). The layer adds
/// `WWW-Authenticate` and `Retry-After` if the response has none of its own. A 404, which hides that there
/// is something to refuse, and a redirect get no challenge.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a refusal with the body type `{B}`",
    label = "makes no response with the body type `{B}`",
    note = "say how: `.on_error(|error: &AuthError| ..)` with a closure that returns `http::Response<{B}>`",
    note = "without `on_error` the body type needs `Default`, and `ProblemJson` needs `From<String>`"
)]
pub trait ResponseForAuthError<B> {
    /// The answer; its status should be [`AuthError::status`].
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B>;
}

/// Answers with an empty body: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyBody;

/// Answers with a problem document (RFC 9457): `type`, `title`, `status`, `detail`, and as
/// `error` the error code of RFC 6750 where there is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson;

/// Answers with what the layer in front would answer, the default of [guards](crate::guard). Without
/// a layer, or if its type of body is another one, the body is empty.
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
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": error.client_message(),
        });
        if let Some(code) = error.code() {
            problem["error"] = code.into();
        }
        let mut response = Response::new(B::from(problem.to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// The whole answer to an error, for handlers and services of your own: what `respond` makes of
/// it, the headers that it needs, and in the extensions the error itself for whoever logs the
/// response.
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
    // A 404 that hides the resource, or a redirect to a login page, is no challenge.
    let may_challenge = status != StatusCode::NOT_FOUND && !status.is_redirection();
    add_headers(response.headers_mut(), &error, may_challenge);
    response.extensions_mut().insert(error);
    response
}

/// Returns the response to an error in the look of the layer in front, which
/// [`on_error`](crate::JwtAuthLayer::on_error) sets.
///
/// The error must come from a token that the layer has let through, such as
/// [`VerifiedToken::require`](crate::VerifiedToken::require), or from an extractor. Any other error,
/// and a layer with another type of body, gets an empty body.
///
/// With axum nothing needs to call it: an [`AuthError`] is a response there.
#[must_use]
pub fn refusal<B: Default + 'static>(error: AuthError) -> Response<B> {
    response_for(&SameAsLayer, error)
}

/// What makes the responses of a layer whose responses have the body `B`.
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
                headers.append(WWW_AUTHENTICATE, challenge); // beside those of other schemes
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

/// The value of `Retry-After`: whole seconds, rounded up (RFC 9110 section 10.2.3).
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
