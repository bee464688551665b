//! [`ApiKeyError`]: the reason why a key was not created, listed or revoked.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::store::StoreError;

/// The error of calls to [`ApiKeys`](super::ApiKeys) that create, list and revoke keys.
///
/// Handlers can return it. With the feature `axum`, it is a response, with the status, a JSON body,
/// `Cache-Control: no-store`, and `Retry-After` if the status is 503. For other frameworks, use
/// [`status`](Self::status), [`body`](Self::body) and [`retry_after`](Self::retry_after).
#[derive(Debug, Clone)]
pub struct ApiKeyError {
    kind: ApiKeyErrorKind,
    message: Option<Arc<str>>,
    source: Option<Arc<StoreError>>,
}

/// The kinds of [`ApiKeyError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiKeyErrorKind {
    /// The owner has as many keys as allowed. The status is 409: the owner can revoke one and try again.
    LimitReached,
    /// The request for a key is invalid, for example because its label is too long. The error says what
    /// is wrong. The status is 400.
    Invalid,
    /// The store of keys or that of revocations is unavailable. The status is 503.
    Unavailable,
    /// The operating system provides no randomness. The status is 500.
    Internal,
}

// === impl ApiKeyError ===

impl ApiKeyError {
    pub(super) fn invalid(message: impl Into<Arc<str>>) -> Self {
        Self {
            kind: ApiKeyErrorKind::Invalid,
            message: Some(message.into()),
            source: None,
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ApiKeyErrorKind {
        self.kind
    }

    /// Returns the status of the response: 400, 409, 500 or 503.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.verdict().0
    }

    /// Returns the error code in the body of the response: `limit_reached`, `invalid_request`,
    /// `temporarily_unavailable` or `server_error`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.verdict().1
    }

    /// Returns the time after which the client should retry, or `None` if the status is not 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == ApiKeyErrorKind::Unavailable).then_some(Duration::from_secs(1))
    }

    /// Returns the JSON body of the response: `error` and `error_description`.
    #[must_use]
    pub fn body(&self) -> String {
        let description = match self.kind {
            ApiKeyErrorKind::LimitReached => {
                "There are as many API keys as allowed. Revoke one that is no longer needed."
            }
            ApiKeyErrorKind::Invalid => self.message.as_deref().unwrap_or_default(),
            ApiKeyErrorKind::Unavailable => "API keys are unavailable right now. Retry later.",
            ApiKeyErrorKind::Internal => "The request could not be processed.",
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    const fn verdict(&self) -> (StatusCode, &'static str) {
        match self.kind {
            ApiKeyErrorKind::LimitReached => (StatusCode::CONFLICT, "limit_reached"),
            ApiKeyErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid_request"),
            ApiKeyErrorKind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            ApiKeyErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }
}

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ApiKeyErrorKind::LimitReached => "the owner has as many API keys as allowed",
            ApiKeyErrorKind::Invalid => self.message.as_deref().unwrap_or_default(),
            ApiKeyErrorKind::Unavailable => {
                "the store of API keys or the revocation store is unavailable"
            }
            ApiKeyErrorKind::Internal => {
                "the operating system provides no randomness for an API key"
            }
        })
    }
}

impl StdError for ApiKeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<ApiKeyErrorKind> for ApiKeyError {
    fn from(kind: ApiKeyErrorKind) -> Self {
        Self {
            kind,
            message: None,
            source: None,
        }
    }
}

impl From<StoreError> for ApiKeyError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: ApiKeyErrorKind::Unavailable,
            message: None,
            source: Some(Arc::new(error)),
        }
    }
}
