//! [`Problem`]: every error of the service as `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_jwt_auth::AuthError;
use tower_jwt_auth::dpop::{DpopError, DpopErrorKind};
use tower_jwt_auth::password::PasswordError;
use tower_jwt_auth::sessions::SessionError;
use utoipa::ToSchema;

use crate::database::Fault;
use crate::error::with_causes;
use crate::storage::StorageError; // chapter: avatars

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// When to try again after an outage of the database.
const RETRY_DATABASE: Duration = Duration::from_secs(1);
const UNAVAILABLE: &str = "The service is unavailable right now. Try again soon.";
const EXISTS: &str = "Something with these values exists already.";
const NOT_STORABLE: &str =
    "A value is missing, out of range, or refers to something that does not exist.";
const INVALID_GRANT: &str = "invalid_grant";
const INVALID_GRANT_DETAIL: &str =
    "The refresh token is not valid, or its session has ended. Log in again.";
const INVALID_PROOF: &str = "invalid_dpop_proof";
const INVALID_PROOF_DETAIL: &str =
    "The proof in the header `DPoP` is missing or not valid: make a new one for each request.";
const NONCE_NEEDED_DETAIL: &str =
    "Send the request again, with a proof that contains the nonce of the header `DPoP-Nonce`.";

/// An error response.
///
/// Its `code` is in the field `error`. Where RFC 6749 has a code, it is the same.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// Further headers of the response, such as a challenge or a nonce.
    headers: Option<Box<HeaderMap>>,
    /// Distinguishes several reasons for the same code.
    reason: Option<&'static str>,
    /// For the middleware that counts refusals.
    auth: Option<Box<AuthError>>,
}

/// The body of a problem document (RFC 9457 section 3.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    #[schema(example = "Unauthorized")]
    title: Option<&'static str>,
    #[schema(example = 401)]
    status: u16,
    /// An explanation for people.
    detail: Cow<'static, str>,
    /// A stable code for programs.
    #[schema(example = "invalid_token")]
    error: &'static str,
    /// Distinguishes several reasons of `invalid_password` and `invalid_passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

// === impl Problem ===

impl Problem {
    /// Returns a problem with this status. A 503 also says when to try again.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let is_outage = status == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: is_outage.then_some(RETRY_DATABASE),
            headers: None,
            reason: None,
            auth: None,
        }
    }

    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.status == status
    }

    /// Adds a code that distinguishes several reasons.
    pub(crate) fn reason(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// Returns an internal error. The details are only in the log, and not in the response.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = with_causes(error), "request failed");
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns a 503 that says when to try again.
    fn unavailable(detail: &'static str, retry_after: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            retry_after: Some(retry_after),
            ..Self::new(status, "unavailable", detail)
        }
    }

    /// Returns a problem because the machine is already doing as much as it can.
    pub(crate) fn busy() -> Self {
        Self::unavailable(UNAVAILABLE, RETRY_DATABASE)
    }

    /// Returns a problem because the client asks too often (RFC 6585 section 4).
    pub(crate) fn too_many(detail: &'static str, retry_after: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self {
            retry_after: Some(retry_after),
            ..Self::new(status, "too_many_requests", detail)
        }
    }

    /// Returns the error for a bad refresh token (RFC 6749 section 5.2).
    pub(crate) fn invalid_grant() -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_GRANT, INVALID_GRANT_DETAIL)
    }

    /// Returns whether the problem means that a refresh token is not valid any more.
    pub(crate) fn is_invalid_grant(&self) -> bool {
        self.code == INVALID_GRANT
    }

    /// Returns the problem of a response of which only the status is known.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => (
                "invalid_request",
                "The path or the body cannot be read. A body must be valid JSON, and arrive in time.",
            ),
            StatusCode::UNAUTHORIZED => ("unauthorized", "The request needs a bearer token."),
            StatusCode::NOT_FOUND => ("not_found", "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "This path does not accept that method. `Allow` lists those it accepts.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => {
                return Self::unavailable(UNAVAILABLE, RETRY_DATABASE);
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "The request body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "Send JSON, with `Content-Type: application/json`.",
            ),
            StatusCode::UNPROCESSABLE_ENTITY => (
                "invalid_body",
                "The JSON lacks a required field, or a field has the wrong type.",
            ),
            _ if status.is_server_error() => ("internal", "The request could not be processed."),
            _ => ("refused", "The request was refused."),
        };
        Self::new(status, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            kind: "about:blank",
            title: self.status.canonical_reason(),
            status: self.status.as_u16(),
            detail: self.detail,
            error: self.code,
            reason: self.reason,
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
        if let Some(more) = self.headers {
            headers.extend(*more);
        }
        if let Some(error) = self.auth {
            response.extensions_mut().insert(*error);
        }
        response
    }
}

impl From<sqlx::Error> for Problem {
    /// Converts an error of the database. An outage says nothing about the request, but a violated
    /// constraint does. The names of the table and the constraint are only logged.
    fn from(error: sqlx::Error) -> Self {
        let fault = Fault::of(&error);
        let (status, code, detail) = match fault {
            Fault::Outage => {
                tracing::warn!(%error, "the database is unavailable");
                return Self::unavailable(UNAVAILABLE, RETRY_DATABASE);
            }
            Fault::Program => return Self::internal(&error),
            Fault::NotFound => return Self::of_status(StatusCode::NOT_FOUND),
            Fault::Exists => (StatusCode::CONFLICT, "conflict", EXISTS),
            Fault::NotStorable => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_storable",
                NOT_STORABLE,
            ),
        };
        let database = error.as_database_error();
        let code_of_database = database.and_then(|error| error.code());
        // The message of a PostgreSQL data exception (class 22) repeats the value.
        let message = database.filter(|_| {
            let code = code_of_database.as_deref();
            !code.is_some_and(|code| code.len() == 5 && code.starts_with("22"))
        });
        tracing::warn!(
            ?fault,
            code = code_of_database.as_deref(),
            table = database.and_then(|error| error.table()),
            constraint = database.and_then(|error| error.constraint()),
            message = message.map(|error| error.message()),
            "the database refuses a value"
        );
        Self::new(status, code, detail)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::of_status(rejection.status())
    }
}

// chapter: avatars {
impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        tracing::warn!(%error, "the storage is unavailable");
        Self::unavailable(UNAVAILABLE, RETRY_DATABASE)
    }
}
// chapter: avatars }

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded { retry_after } => {
                tracing::warn!(%error, "a password was refused: too many are waiting to be hashed");
                Self::unavailable("The service is busy. Try again soon.", retry_after)
            }
            error => Self::internal(&error),
        }
    }
}

impl From<SessionError> for Problem {
    /// Keeps the status, the code and `Retry-After`. The client gets the code of RFC 6749, and not the
    /// reason behind it.
    fn from(error: SessionError) -> Self {
        let (status, code) = (error.status(), error.code());
        let cause = with_causes(&error);
        if status.is_server_error() {
            tracing::warn!(
                error = cause,
                "a session could not be opened, found or ended"
            );
        } else {
            tracing::debug!(error = cause, "session refused");
        }
        let detail = match status {
            StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
            _ if code == INVALID_GRANT => INVALID_GRANT_DETAIL,
            _ if code == INVALID_PROOF => INVALID_PROOF_DETAIL,
            _ if status.is_server_error() => "The request could not be processed.",
            _ => "The session does not allow this.",
        };
        Self {
            retry_after: error.retry_after(),
            headers: Some(Box::new(error.headers())),
            ..Self::new(status, code, detail)
        }
    }
}

impl From<DpopError> for Problem {
    /// Converts the refusal of a proof. Only the log has the reason. The client learns the code of RFC 9449, and a
    /// nonce if it needs one.
    fn from(error: DpopError) -> Self {
        let status = error.status();
        let cause = with_causes(&error);
        if status.is_server_error() {
            tracing::warn!(error = cause, "a proof could not be judged");
        } else {
            tracing::debug!(error = cause, "proof refused");
        }
        let detail = match error.kind() {
            DpopErrorKind::NonceRequired => NONCE_NEEDED_DETAIL,
            DpopErrorKind::Unavailable => UNAVAILABLE,
            _ => INVALID_PROOF_DETAIL,
        };
        Self {
            retry_after: error.retry_after(),
            headers: Some(Box::new(error.headers())),
            ..Self::new(status, error.code(), detail)
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = error.status();
        if status.is_server_error() {
            let error = with_causes(&error);
            tracing::warn!(error, "a token could not be verified");
        }
        let code = match status {
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => error.code().unwrap_or(Self::of_status(status).code),
        };
        Self {
            retry_after: error.retry_after(),
            headers: challenge(&error).map(Box::new),
            auth: Some(Box::new(error.clone())),
            ..Self::new(status, code, error.client_message())
        }
    }
}

fn challenge(error: &AuthError) -> Option<HeaderMap> {
    let challenge = HeaderValue::try_from(error.www_authenticate()?).ok()?;
    Some(HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge)]))
}

/// Rewrites the error responses of axum and tower (an unknown path, a body that is not JSON, a timeout, a
/// panic). Keeps their headers, and leaves problem documents as they are.
pub(crate) fn for_every_error(response: Response) -> Response {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.headers().get(CONTENT_TYPE) == Some(&PROBLEM_JSON) {
        return response;
    }
    let problem = Problem::of_status(status).into_response();
    let (mut parts, _) = response.into_parts();
    let (problem, body): (_, Body) = problem.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(problem.headers);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_says_when_to_try_again() {
        let retry_after = Duration::from_millis(1500);
        let problem = Problem::from(PasswordError::Overloaded { retry_after });
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn errors_of_other_layers_keep_their_headers_but_not_their_text() {
        let mut response = (StatusCode::BAD_GATEWAY, "a secret").into_response();
        response.headers_mut().insert(RETRY_AFTER, 7.into());
        response.headers_mut().insert(CONTENT_LENGTH, 8.into());
        let response = for_every_error(response);
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(response.headers().get(CONTENT_LENGTH), None);
        let body = axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
