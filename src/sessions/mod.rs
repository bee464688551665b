//! Sessions: one login each, refreshed by tokens that are traded at every use, ended at log-out.
//!
//! A store keeps one row for each session and never a token. Each refresh token names its session
//! and a generation; a refresh moves the session to the next generation, in one conditional step:
//!
//! - A client whose response was lost, or that refreshes from two tabs at once, gets the *same*
//!   next token again: rotation converges, and honest clients stay logged in.
//! - A token of an older generation is a stolen one, or its original: the whole session ends.
//!
//! [The guide](crate::_guide::sessions) says who is logged out and who is not.

mod builder;
mod clean_up;
mod end;
mod error;
mod open;
mod refresh;
mod tokens;

#[cfg(feature = "postgres")]
pub use crate::session::PostgresSessions;
#[cfg(feature = "redis")]
pub use crate::session::RedisSessions;
#[cfg(feature = "sqlite")]
pub use crate::session::SqliteSessions;
pub use crate::session::{
    Converged, Created, EndReason, EndSessions, EndedSession, MemorySessions, Rotation,
    RotationOutcome, Session, SessionLimit, SessionRecord, SessionStore, SessionTarget,
    UnknownEndReason, WhenFull,
};
pub use crate::store::DEFAULT_SESSION_STORE_TIMEOUT;
pub use builder::{
    DEFAULT_IDLE_TTL, DEFAULT_LOST_RESPONSE, DEFAULT_MAX_LOST_RESPONSES, DEFAULT_ROTATION_GRACE,
    MAX_LOST_RESPONSE, MAX_ROTATION_GRACE, SessionsBuilder,
};
pub use clean_up::{CLOCK_SLACK, CleanUpTask};
pub use error::{SessionError, SessionErrorKind};
pub use open::OpenSession;
pub use refresh::{RefreshSession, Refreshed};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::EventHook;
use crate::issuer::TokenIssuer;
use crate::session::TimedStore;

/// Sessions: opened at login, refreshed by their refresh tokens, listed, and ended.
///
/// Cheap to clone, and made to be shared. Built from a [`TokenIssuer`], whose verifiers then tell
/// the store which sessions are in use.
///
/// ```
/// use tower_jwt_auth::keys::Algorithm;
/// use tower_jwt_auth::revocation::MemoryRevocations;
/// use tower_jwt_auth::sessions::MemorySessions;
/// use tower_jwt_auth::{Sessions, SigningKey, TokenIssuer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA)?)
///     .issuer("me")
///     .audience("api")
///     .revocation(MemoryRevocations::new()) // so that a log-out holds at once
///     .build()?;
/// let sessions = Sessions::builder(&tokens, MemorySessions::new()).build()?;
///
/// let login = sessions.open("alice").scope("read").label("laptop").issue().await?;
/// let next = sessions.refresh(&login.refresh_token).await?.issue().await?.tokens;
///
/// // The response was lost: the client asks again with the token that it has.
/// let again = sessions.refresh(&login.refresh_token).await?.issue().await?.tokens;
/// assert_eq!(again.refresh_token, next.refresh_token);
///
/// sessions.end_all("alice").await?; // log out everywhere
/// assert!(sessions.refresh(&again.refresh_token).await?.issue().await.is_err());
/// assert!(tokens.verifier().verify(&again.access_token).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Runtime
///
/// Its methods need a Tokio runtime with a timer. What must be done as a whole runs in a task of
/// its own, which a dropped request does not stop.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    tokens: TokenIssuer,
    store: TimedStore,
    idle_ttl: Duration,
    grace: Duration,
    lost_response: Duration,
    max_lost_responses: u32,
    limit: Option<SessionLimit>,
    events: EventHook,
}

// === impl Sessions ===

impl Sessions {
    /// Starts sessions of this issuer, which are kept in `store`.
    pub fn builder(tokens: &TokenIssuer, store: impl SessionStore) -> SessionsBuilder {
        SessionsBuilder::new(tokens.clone(), Arc::new(store))
    }

    /// Returns the issuer that the sessions are built on.
    #[must_use]
    pub fn tokens(&self) -> &TokenIssuer {
        &self.inner.tokens
    }

    /// Starts a session for this subject, who has just logged in.
    pub fn open(&self, sub: impl Into<String>) -> OpenSession<'_> {
        OpenSession::new(self, self.inner.tokens.access(sub))
    }

    /// Verifies a refresh token: signature, type, issuer, audience and expiry. The session is not
    /// asked for, and does not move on, until [`issue`](RefreshSession::issue).
    ///
    /// # Errors
    ///
    /// [`InvalidToken`](SessionErrorKind::InvalidToken) or [`Expired`](SessionErrorKind::Expired):
    /// the token is not valid, and no store was asked.
    /// [`Unavailable`](SessionErrorKind::Unavailable): the token cannot be judged now.
    pub async fn refresh(&self, refresh_token: &str) -> Result<RefreshSession<'_>, SessionError> {
        let token = self.verify(refresh_token).await?;
        Ok(RefreshSession::new(self, token))
    }

    /// Returns the live sessions of a subject, most recently used first, and at most 1000.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    pub async fn list(&self, sub: &str) -> Result<Vec<Session>, SessionError> {
        let now = self.inner.tokens.now();
        let records = self.inner.store.list(sub, now).await?;
        Ok(records.iter().map(Session::from).collect())
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("tokens", &self.inner.tokens)
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}
