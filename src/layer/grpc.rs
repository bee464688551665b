//! [`GrpcStatus`]: refuses requests in a way that gRPC clients understand.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::response::{EmptyBody, ResponseForAuthError, add_headers};
use super::tell;
use crate::error::AuthError;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Answers gRPC requests with a gRPC status, and all others with an empty body.
///
/// Use it for tonic servers. Without it, a client guesses a code from the HTTP status and sees no message.
///
/// A gRPC request is one with the content type `application/grpc`, `application/grpc-web` or
/// `application/grpc-web-text`, with or without a codec such as `+proto`. The response has the HTTP
/// status 200, the same content type, no body, and the status in its headers ("Trailers-Only" in the
/// specification of gRPC over HTTP/2):
///
/// | refusal | `grpc-status` |
/// |---|---|
/// | 400: two tokens, or a malformed header | 16 `UNAUTHENTICATED` |
/// | 401 | 16 `UNAUTHENTICATED` |
/// | 403 | 7 `PERMISSION_DENIED` |
/// | 503 | 14 `UNAVAILABLE` |
/// | 500 | 13 `INTERNAL` |
///
/// A 400 is not `INVALID_ARGUMENT`, because that is about the message of the call. gRPC uses
/// `UNAUTHENTICATED` for every kind of bad credentials.
///
/// `grpc-message` is [`AuthError::client_message`]. The challenge (`www-authenticate`) and `retry-after` are
/// in the headers as well; with tonic, clients find them in
/// [`Status::metadata`](https://docs.rs/tonic/latest/tonic/struct.Status.html#method.metadata). A 503 also
/// has `grpc-retry-pushback-ms`, which clients with a retry policy obey.
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_jwt_auth::JwtAuthLayer;
/// use tower_jwt_auth::layer::{GrpcStatus, ProblemJson};
/// # use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let key = SigningKey::generate(Algorithm::HS256)?;
/// # let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
/// # let verifier = tokens.verifier();
/// # let inner = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(String::new())));
/// let layer = JwtAuthLayer::new(verifier).on_error(GrpcStatus.or(ProblemJson));
/// let service = layer.layer(inner);
///
/// let call = Request::post("/orders.v1.Orders/Get").header("content-type", "application/grpc");
/// let response = service.clone().oneshot(call.body(())?).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["grpc-status"], "16");
/// assert_eq!(response.headers()["grpc-message"], "The request needs a bearer token.");
/// assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="api""#);
///
/// let response = service.oneshot(Request::get("/me").body(())?).await?;
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [Guards](crate::guard), extractors and [`error_response`](super::error_response) behind such a layer
/// answer in the same way. To return such a status from a method of a tonic service, see
/// [`headers`](Self::headers). The example `grpc-server` shows all of this.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcStatus;

/// A [`GrpcStatus`] that answers requests other than gRPC in another way; made by [`GrpcStatus::or`].
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcStatusOr<R> {
    fallback: R,
}

// === impl GrpcStatus ===

impl GrpcStatus {
    /// Sets what answers requests other than gRPC, such as [`ProblemJson`](super::ProblemJson) or a closure.
    /// By default, their responses have an empty body.
    #[must_use]
    pub const fn or<R>(self, fallback: R) -> GrpcStatusOr<R> {
        GrpcStatusOr { fallback }
    }

    /// Returns the headers of the gRPC response to this error, for a method of a gRPC service. Such a method
    /// must return a status of its library; with tonic, make it by
    /// `Status::from_header_map(&GrpcStatus::headers(&error))`.
    ///
    /// The error is logged as if the layer had refused the request. The hook
    /// [`on_decision`](crate::JwtAuthLayer::on_decision) is not called, because the status that a method
    /// returns does not contain the error.
    ///
    /// ```
    /// use tower_jwt_auth::AuthErrorKind;
    /// use tower_jwt_auth::layer::GrpcStatus;
    ///
    /// let headers = GrpcStatus::headers(&AuthErrorKind::Expired.into());
    /// assert_eq!(headers["grpc-status"], "16");
    /// assert_eq!(headers["grpc-message"], "The bearer token is not valid.");
    /// assert_eq!(headers["www-authenticate"], r#"Bearer realm="api", error="invalid_token""#);
    /// ```
    #[must_use]
    pub fn headers(error: &AuthError) -> HeaderMap {
        tell::refusal(error);
        let mut headers = HeaderMap::new();
        add_status(&mut headers, error);
        add_headers(&mut headers, error, true);
        headers
    }
}

impl<B: Default> ResponseForAuthError<B> for GrpcStatus {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        self.or(EmptyBody).response_for_auth_error(error)
    }
}

// === impl GrpcStatusOr ===

impl<B: Default, R: ResponseForAuthError<B>> ResponseForAuthError<B> for GrpcStatusOr<R> {
    fn response_for_auth_error(&self, error: &AuthError) -> Response<B> {
        let Some(content_type) = error.grpc_content_type() else {
            return self.fallback.response_for_auth_error(error);
        };
        let mut response = Response::new(B::default());
        let content_type = HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        add_status(response.headers_mut(), error);
        response
    }
}

fn add_status(headers: &mut HeaderMap, error: &AuthError) {
    headers.insert(GRPC_STATUS, HeaderValue::from(error.grpc_code()));
    // No message contains a character that would have to be percent-encoded.
    let message = HeaderValue::from_static(error.client_message());
    headers.insert(GRPC_MESSAGE, message);
    if let Some(after) = error.retry_after() {
        let milliseconds = i32::try_from(after.as_millis()).unwrap_or(i32::MAX);
        headers.insert(RETRY_PUSHBACK, HeaderValue::from(milliseconds));
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{AuthError, AuthErrorKind};

    #[test]
    fn no_message_needs_percent_encoding() {
        for kind in AuthErrorKind::ALL {
            let message = AuthError::new(*kind).client_message();
            let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
            assert!(message.bytes().all(is_plain), "{message}");
        }
    }
}
