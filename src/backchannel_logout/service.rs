//! [`BackchannelLogout`]: the tower service that receives logout tokens.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use serde_json::json;
use tower_service::Service;

use super::act::Actor;
use super::builder::BackchannelLogoutBuilder;
use super::form;
use super::logout::Logout;
use crate::body::{ReadError, read};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::layer::retry_after;
use crate::revocation::RevocationStore;
use crate::sync::timeout;
use crate::verifier::{CredentialKind, TokenVerifier};

/// The longest request body that is read: 16 KiB, twice the size of the largest logout token.
pub const MAX_LOGOUT_REQUEST_BYTES: usize = 16 * 1024;
/// The time within which the body of a request must arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives the logout tokens of identity providers (OpenID Connect Back-Channel Logout 1.0), and ends the
/// access tokens that they name.
///
/// It is a tower service for any request body: pass it to axum's `route_service`, or to hyper as it is.
/// Register its address with the provider as the `backchannel_logout_uri` of your client. Put no
/// [`JwtAuthLayer`](crate::JwtAuthLayer) in front of it, because the logout token itself proves who sends the
/// request.
///
/// It accepts a POST with a form of at most [16 KiB](MAX_LOGOUT_REQUEST_BYTES) that contains `logout_token`.
/// Every response has `Cache-Control: no-store`:
///
/// | Status | When |
/// |---|---|
/// | 200 | everything has ended; also if this logout token was used before, in which case it is not carried out again |
/// | 400 | the request or its token is invalid; the body is JSON with `error` and `error_description` |
/// | 405 | the method is not POST |
/// | 500 | the service has a fault, for example an issuer that is found at run time has no verifier of logout tokens |
/// | 503 with `Retry-After` | the provider's keys or the revocation store are unavailable, or the hook failed; the provider may send the token again |
///
/// A logout runs to its end even if the provider closes the connection. Clones share their state.
#[derive(Clone)]
pub struct BackchannelLogout {
    verifier: TokenVerifier,
    actor: Arc<Actor>,
}

/// The future that resolves to the response of a [`BackchannelLogout`].
#[must_use = "futures do nothing unless polled"]
pub struct BackchannelLogoutFuture {
    response: Pin<Box<dyn Future<Output = Response<String>> + Send>>,
}

// === impl BackchannelLogout ===

impl BackchannelLogout {
    /// Returns a builder of the service. `verifier` verifies logout tokens: its
    /// [profile](crate::verifier::TokenVerifierBuilder::profile) is
    /// [`LogoutToken`](crate::verifier::TokenProfile::LogoutToken), and its audience is your client id.
    /// `revocations` is the store that the verifier of access tokens uses.
    pub fn builder(
        verifier: TokenVerifier,
        revocations: impl RevocationStore,
    ) -> BackchannelLogoutBuilder {
        BackchannelLogoutBuilder::new(verifier, Arc::new(revocations))
    }

    pub(super) fn new(verifier: TokenVerifier, actor: Arc<Actor>) -> Self {
        Self { verifier, actor }
    }

    /// Verifies a logout token and ends what it names, as for a request. Use it in a service that receives the
    /// token in another way.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](AuthErrorKind::Unavailable): the keys or the store are unavailable, or the hook
    ///   failed. Some of the access tokens may have ended. Calling again is safe.
    /// - [`Internal`](AuthErrorKind::Internal): the service has a fault, for example an issuer that is found at
    ///   run time has no verifier of logout tokens.
    /// - Any other [kind](AuthErrorKind): the token is refused.
    pub async fn log_out(&self, logout_token: &str) -> Result<(), AuthError> {
        let token = self.verifier.verify(logout_token).await?;
        if token.kind() != CredentialKind::LogoutToken {
            // This happens only if the issuers are known at run time; `build` has checked the others.
            return Err(AuthError::new(AuthErrorKind::Internal).with_source(
                "the verifier of this issuer does not verify logout tokens: build it with \
                 `.profile(TokenProfile::LogoutToken)`",
            ));
        }
        self.actor.act(Logout::new(token)).await
    }

    async fn answer<B>(self, headers: HeaderMap, body: B) -> Result<(), AuthError>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        form::check_content_type(&headers)?;
        let body = in_read_time(read(body, MAX_LOGOUT_REQUEST_BYTES)).await?;
        let token = form::logout_token(&body)?;
        self.log_out(&token).await
    }
}

impl<B> Service<Request<B>> for BackchannelLogout
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = BackchannelLogoutFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        let (parts, body) = request.into_parts();
        let response = Box::pin(async move {
            if parts.method != Method::POST {
                let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, String::new());
                let allowed = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, allowed);
                return response;
            }
            match this.answer(parts.headers, body).await {
                Ok(()) => respond(StatusCode::OK, String::new()),
                Err(error) => refusal(error),
            }
        });
        BackchannelLogoutFuture { response }
    }
}

impl fmt::Debug for BackchannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackchannelLogout")
            .field("verifier", &self.verifier)
            .field("actor", &self.actor)
            .finish()
    }
}

async fn in_read_time(
    body: impl Future<Output = Result<Vec<u8>, ReadError>>,
) -> Result<Vec<u8>, AuthError> {
    let read = match tokio::runtime::Handle::try_current() {
        Ok(_) => timeout(READ_TIMEOUT, body).await,
        Err(_) => Ok(body.await),
    };
    match read {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(form::malformed(&Reason {
            code: "logout_request_unreadable",
            message: "the body of the request is too long, or ended early",
        })
        .with_source(error)),
        Err(_) => Err(form::malformed(&Reason {
            code: "logout_request_too_slow",
            message: "the body of the request took too long to arrive",
        })),
    }
}

fn respond(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Builds the response to a request that failed. Section 2.8 requires 400 with JSON for every invalid
/// request. If the provider may send the request again, the status is 503, so that it can tell the two cases
/// apart.
fn refusal(error: AuthError) -> Response<String> {
    tell(&error);
    let (status, code) = match error.kind() {
        AuthErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        AuthErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    };
    // The messages are fixed texts: they contain no part of the token, and no cause.
    let body = json!({"error": code, "error_description": error.to_string()});
    let mut response = respond(status, body.to_string());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(
        error
            .retry_after()
            .map(|after| (RETRY_AFTER, retry_after(after))),
    );
    response.extensions_mut().insert(error);
    response
}

/// Logs the provider's mistakes at the level debug, and what the operator has to fix at warn.
fn tell(error: &AuthError) {
    #[cfg(feature = "tracing")]
    {
        let reason = error.reason();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        if matches!(
            error.kind(),
            AuthErrorKind::Unavailable | AuthErrorKind::Internal
        ) {
            tracing::warn!(reason, cause, "a logout from the provider failed: {error}");
        } else {
            tracing::debug!(reason, cause, "a logout token was refused: {error}");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

// === impl BackchannelLogoutFuture ===

impl Future for BackchannelLogoutFuture {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for BackchannelLogoutFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackchannelLogoutFuture")
            .finish_non_exhaustive()
    }
}
