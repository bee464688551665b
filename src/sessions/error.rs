//! [`SessionError`]: why a session was not opened, refreshed, listed or ended.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::dpop::{DpopError, DpopErrorKind};
use crate::error::{AuthError, AuthErrorKind};
use crate::issuer::IssueError;
use crate::session::EndReason;
use crate::store::StoreError;

/// The error of every call to [`Sessions`](crate::Sessions).
///
/// A handler may return it. With the feature `axum` it is a response, with the status, the JSON
/// body of RFC 6749 section 5.2, `Cache-Control: no-store`, and `Retry-After` if the status is 503.
/// For other frameworks there are [`status`](Self::status), [`body`](Self::body),
/// [`headers`](Self::headers) and [`retry_after`](Self::retry_after). [`kind`](Self::kind) is for
/// logs: the response does not say which reason is behind `invalid_grant`.
#[derive(Debug, Clone)]
pub struct SessionError {
    kind: SessionErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The distinct reasons behind a [`SessionError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionErrorKind {
    /// The refresh token is not valid: its signature, type, issuer, audience or expiry is wrong. No
    /// store was asked.
    InvalidToken(AuthErrorKind),
    /// The store has no such session.
    UnknownSession,
    /// The session was ended, or the subject's sessions were revoked after it was opened.
    Ended(EndReason),
    /// The session was not refreshed within its idle timeout.
    Idle,
    /// The session is past its absolute expiry.
    Expired,
    /// A refresh token that had already been replaced was used again. The session was ended, because
    /// the token or its successor was stolen.
    ReuseDetected,
    /// The refresh token is newer than the session in the store, by more than one lost write can
    /// explain: the store has lost writes.
    StoreRewound,
    /// The DPoP proof of the request is refused, or was used before. Nothing has changed.
    InvalidProof(DpopErrorKind),
    /// The session is bound to a key, and the request has no DPoP proof. Nothing has changed.
    ProofRequired,
    /// The DPoP proof of the request was made with another key than that of the session. The session was
    /// ended, because the refresh token was stolen.
    KeyMismatch,
    /// The request asked for a scope that the session was not opened with.
    InvalidScope,
    /// The subject has as many sessions as allowed.
    TooManySessions,
    /// A store is unavailable, or the token was issued by a node whose clock is ahead. The client
    /// should retry with the same token.
    Unavailable,
    /// The tokens could not be issued, which is a mistake in the program: a claim is reserved or
    /// not serializable, or a scope is malformed.
    Issue(IssueError),
}

// === impl SessionError ===

impl SessionError {
    /// Returns the reason, for logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &SessionErrorKind {
        &self.kind
    }

    /// Returns the status of the response: 400, 403, 500 or 503.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.verdict().0
    }

    /// Returns the error code in the body of the response: one of RFC 6749 sections 5.2 and 4.1.2.1, or of RFC
    /// 9449 section 5 if the DPoP proof is refused.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.verdict().1
    }

    /// Returns the time after which the client should retry, or `None` if the status is not 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == SessionErrorKind::Unavailable).then_some(Duration::from_secs(1))
    }

    /// Returns the JSON body of the response (RFC 6749 section 5.2): `error`, and an
    /// `error_description` that reveals no more than the code does.
    #[must_use]
    pub fn body(&self) -> String {
        let description = match self.verdict() {
            (_, "invalid_grant") => "The refresh token is not valid, or its session is over.",
            (_, "invalid_dpop_proof") => "The DPoP proof is missing or not valid.",
            (_, "use_dpop_nonce") => {
                "The DPoP proof needs the nonce of the `DPoP-Nonce` header of this response."
            }
            (_, "invalid_scope") => "The session does not have the requested scope.",
            (_, "access_denied") => "The user has as many sessions as allowed.",
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                "The session cannot be looked up now. Retry with the same token."
            }
            _ => "The request could not be processed.",
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    /// Creates the error of a token that cannot be verified now.
    pub(super) fn unavailable(cause: AuthError) -> Self {
        Self {
            kind: SessionErrorKind::Unavailable,
            source: Some(Arc::new(cause)),
        }
    }

    /// Returns the headers of DPoP that the response needs if the proof was refused, such as a nonce, and none
    /// otherwise. They do not include `Content-Type`, `Cache-Control` and `Retry-After`.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let source = self.source.as_ref();
        match source.and_then(|source| source.downcast_ref::<DpopError>()) {
            Some(error) => error.headers(),
            None => HeaderMap::new(),
        }
    }

    fn verdict(&self) -> (StatusCode, &'static str) {
        match &self.kind {
            SessionErrorKind::InvalidToken(_)
            | SessionErrorKind::UnknownSession
            | SessionErrorKind::Ended(_)
            | SessionErrorKind::Idle
            | SessionErrorKind::Expired
            | SessionErrorKind::ReuseDetected
            | SessionErrorKind::KeyMismatch
            | SessionErrorKind::StoreRewound => (StatusCode::BAD_REQUEST, "invalid_grant"),
            // RFC 9449 sections 5 and 8
            SessionErrorKind::InvalidProof(DpopErrorKind::NonceRequired) => {
                (StatusCode::BAD_REQUEST, "use_dpop_nonce")
            }
            SessionErrorKind::InvalidProof(_) | SessionErrorKind::ProofRequired => {
                (StatusCode::BAD_REQUEST, "invalid_dpop_proof")
            }
            SessionErrorKind::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            SessionErrorKind::TooManySessions => (StatusCode::FORBIDDEN, "access_denied"),
            SessionErrorKind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            SessionErrorKind::Issue(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            SessionErrorKind::InvalidToken(_) => "the refresh token is not valid",
            SessionErrorKind::UnknownSession => "the session does not exist",
            SessionErrorKind::Ended(_) => "the session was ended",
            SessionErrorKind::Idle => "the session was not refreshed within its idle timeout",
            SessionErrorKind::Expired => "the session has expired",
            SessionErrorKind::ReuseDetected => {
                "a replaced refresh token was used again, so its session was ended"
            }
            SessionErrorKind::StoreRewound => {
                "the refresh token is newer than its session: the session store has lost writes"
            }
            SessionErrorKind::InvalidProof(_) => "the DPoP proof is refused, or was used before",
            SessionErrorKind::ProofRequired => {
                "the session is bound to a key, and the request has no DPoP proof"
            }
            SessionErrorKind::KeyMismatch => {
                "the DPoP proof was made with another key than that of the session, so the session was ended"
            }
            SessionErrorKind::InvalidScope => "the session does not have the requested scope",
            SessionErrorKind::TooManySessions => "the subject has as many sessions as allowed",
            SessionErrorKind::Unavailable => {
                "a store is unavailable, or the token cannot be verified yet"
            }
            SessionErrorKind::Issue(_) => "the tokens could not be issued",
        })
    }
}

impl StdError for SessionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match (&self.source, &self.kind) {
            (Some(source), _) => Some(&**source),
            (None, SessionErrorKind::Issue(error)) => Some(error),
            (None, _) => None,
        }
    }
}

impl From<SessionErrorKind> for SessionError {
    fn from(kind: SessionErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: SessionErrorKind::Unavailable,
            source: Some(Arc::new(error)),
        }
    }
}

impl From<DpopError> for SessionError {
    fn from(error: DpopError) -> Self {
        Self {
            kind: match error.kind() {
                DpopErrorKind::Unavailable => SessionErrorKind::Unavailable,
                kind => SessionErrorKind::InvalidProof(kind),
            },
            source: Some(Arc::new(error)),
        }
    }
}

impl From<IssueError> for SessionError {
    fn from(error: IssueError) -> Self {
        SessionErrorKind::Issue(error).into()
    }
}
