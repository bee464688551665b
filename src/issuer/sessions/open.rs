//! [`SessionRequest`]: a session to be opened.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::Payload;
use super::error::{SessionError, SessionErrorKind};
use crate::clock::as_micros;
use crate::event::AuthEvent;
use crate::issuer::Inner;
use crate::issuer::error::IssueError;
use crate::issuer::pair::TokenPair;
use crate::issuer::request::TokenRequest;
use crate::jti;
use crate::session::{Created, EndReason, SessionRecord};

/// The longest label that is kept.
const MAX_LABEL_CHARS: usize = 200;

/// A session to be opened; see [`TokenIssuer::open_session`](crate::TokenIssuer::open_session).
#[must_use = "no session is opened until `issue()`"]
pub struct SessionRequest<'a> {
    request: TokenRequest<'a>,
    label: Option<String>,
}

// === impl SessionRequest ===

impl<'a> SessionRequest<'a> {
    pub(super) fn new(request: TokenRequest<'a>) -> Self {
        Self {
            request,
            label: None,
        }
    }

    /// What the owner knows the session by, such as the name of a device. Often it is what the
    /// client says of itself: control characters are left out, and it ends after 200 characters.
    pub fn label(mut self, label: impl AsRef<str>) -> Self {
        let printable = label
            .as_ref()
            .chars()
            .filter(|character| !character.is_control());
        self.label = Some(printable.take(MAX_LABEL_CHARS).collect());
        self
    }

    /// Adds a custom claim to the session's access tokens.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.request = self.request.claim(name, value);
        self
    }

    /// Adds the fields of a struct or the entries of a map to the session's access tokens.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        self.request = self.request.claims(claims);
        self
    }

    /// Adds a scope; several may stand in one text, separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope);
        self
    }

    /// Adds scopes.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.scopes(scopes);
        self
    }

    /// When the user proved who they are; now, unless said otherwise. It stays the same
    /// through all refreshes (RFC 9068 section 2.2.1).
    pub fn auth_time(mut self, time: SystemTime) -> Self {
        self.request = self.request.auth_time(time);
        self
    }

    /// Opens the session, and makes its first pair of tokens.
    ///
    /// # Errors
    ///
    /// A claim or scope that is none, too many sessions, or a store that does not answer.
    pub async fn issue(self) -> Result<TokenPair, SessionError> {
        let Self { request, label } = self;
        let issuer = request.issuer;
        let sessions = issuer.require_sessions()?;
        request.check()?;
        let Inner {
            clock,
            stamps,
            refresh_ttl,
            ..
        } = &*issuer.inner;

        let now = stamps.next(&**clock);
        let payload = Payload {
            auth_time: request.auth_time.unwrap_or(now / 1_000_000),
            claims: request.claims,
            scopes: request.scopes,
        };
        let mut record = SessionRecord::new(new_id()?, request.subject, now);
        record.token_id = jti::new_id(now).ok_or(IssueError::Internal)?;
        record.idle_ttl = as_micros(sessions.idle_ttl);
        record.expires_at = now.saturating_add(as_micros(*refresh_ttl));
        record.label = label;
        record.payload = serde_json::to_string(&payload).map_err(|_| IssueError::Internal)?;
        // The tokens come first: a session that nobody could be given is not opened.
        let pair = issuer.pair_of(&record, issuer.access_request_of(&record, &payload))?;

        let ended = match sessions.store.create(&record, sessions.limit).await? {
            Created::Opened { ended } => ended,
            Created::Full => return Err(SessionErrorKind::TooManySessions.into()),
        };
        let (subject, session) = (record.subject.as_str(), record.id.as_str());
        sessions
            .events
            .tell(&AuthEvent::SessionOpened { subject, session });
        for session in &ended {
            issuer.after_end(sessions, session, EndReason::Replaced);
            issuer.revoke_access_tokens(session).await;
        }
        Ok(pair)
    }
}

impl fmt::Debug for SessionRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRequest")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// Whether a text has the form of a session id; clients send others.
pub(super) fn is_session_id(text: &str) -> bool {
    text.len() == 22
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A session id: 128 random bits (O13, V7.2.3).
fn new_id() -> Result<String, IssueError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| IssueError::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
