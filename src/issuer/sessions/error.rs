//! [`SessionError`]: why a session was not opened, or not refreshed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::error::{AuthError, AuthErrorKind};
use crate::issuer::error::IssueError;
use crate::session::EndReason;
use crate::store::StoreError;

/// Why a session was not opened, or not refreshed.
///
/// For the answer of a token endpoint (RFC 6749 section 5.2): [`status`](Self::status) and
/// [`code`](Self::code). [`kind`](Self::kind) is for logs: a client is not told which of the
/// reasons behind `invalid_grant` it was.
#[derive(Debug, Clone)]
pub struct SessionError {
    kind: SessionErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The distinct reasons behind a [`SessionError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionErrorKind {
    /// The refresh token itself is not good. No store was asked.
    InvalidToken(AuthErrorKind),
    /// The store has no such session.
    UnknownSession,
    /// The session was ended.
    Ended(EndReason),
    /// The session was unused for too long.
    Idle,
    /// The session is past its end.
    Expired,
    /// The token is older than the current one: the session has just been ended for it.
    ReuseDetected,
    /// The token is ahead of the session by more than one lost write can explain.
    StoreRewound,
    /// A scope was asked for that the session does not have.
    InvalidScope,
    /// The subject has as many sessions as allowed.
    TooManySessions,
    /// The store does not answer: the client should come back with the same token.
    Unavailable,
    /// A mistake in the program: a claim that is none, or no session store.
    Issue(IssueError),
}

// === impl SessionError ===

impl SessionError {
    /// The distinct reason.
    #[must_use]
    pub fn kind(&self) -> &SessionErrorKind {
        &self.kind
    }

    /// The status of the answer: 400, 403, 500 or 503.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.verdict().0
    }

    /// The error code of RFC 6749 section 5.2, or, for 500 and 503, of section 4.1.2.1.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.verdict().1
    }

    /// When to come back, where the answer is a 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == SessionErrorKind::Unavailable).then_some(Duration::from_secs(1))
    }

    fn verdict(&self) -> (StatusCode, &'static str) {
        match &self.kind {
            SessionErrorKind::InvalidToken(_)
            | SessionErrorKind::UnknownSession
            | SessionErrorKind::Ended(_)
            | SessionErrorKind::Idle
            | SessionErrorKind::Expired
            | SessionErrorKind::ReuseDetected
            | SessionErrorKind::StoreRewound => (StatusCode::BAD_REQUEST, "invalid_grant"),
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
            SessionErrorKind::UnknownSession => "the session is not known",
            SessionErrorKind::Ended(_) => "the session was ended",
            SessionErrorKind::Idle => "the session was unused for too long",
            SessionErrorKind::Expired => "the session is past its end",
            SessionErrorKind::ReuseDetected => "an older refresh token was used again",
            SessionErrorKind::StoreRewound => "the refresh token is ahead of its session",
            SessionErrorKind::InvalidScope => "the session does not have that scope",
            SessionErrorKind::TooManySessions => "there are as many sessions as allowed",
            SessionErrorKind::Unavailable => "the session cannot be looked up at the moment",
            SessionErrorKind::Issue(_) => "the tokens could not be made",
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

impl From<IssueError> for SessionError {
    fn from(error: IssueError) -> Self {
        SessionErrorKind::Issue(error).into()
    }
}

impl From<SessionError> for AuthError {
    fn from(error: SessionError) -> Self {
        let kind = match error.kind {
            SessionErrorKind::Unavailable => AuthErrorKind::Unavailable,
            _ => AuthErrorKind::Internal,
        };
        Self::new(kind).with_source(error)
    }
}
