//! [`Sessions`]: opens, refreshes and lists sessions.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::end;
use super::{OpenSession, RefreshSession, SessionError, SessionsBuilder};
use crate::event::EventHook;
use crate::issuer::TokenIssuer;
use crate::session::{Session, SessionLimit, SessionStore, TimedStore};
use crate::store::Calls;

/// The most refreshes, logins and logouts that are in progress at once in one [`Sessions`]: 1,024. Any
/// further call fails, and the response is a 503. Each call ends within a few timeouts of the stores,
/// even if its request is dropped.
pub const MAX_CONCURRENT_CALLS: usize = 1024;

/// Opens sessions at login, refreshes them by their refresh tokens, lists them, and ends them.
///
/// It is cheap to clone and made to be shared. It is built from a [`TokenIssuer`], whose verifiers
/// then report to the store which sessions are in use.
///
/// ```
/// use tower_jwt_auth::{Algorithm, Sessions, SigningKey, TokenIssuer};
/// use tower_jwt_auth::revocation::MemoryRevocations;
/// use tower_jwt_auth::sessions::MemorySessions;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA)?)
///     .issuer("me")
///     .audience("api")
///     .revocation(MemoryRevocations::new()) // so that a logout takes effect at once
///     .build()?;
/// let sessions = Sessions::builder(&tokens, MemorySessions::new()).build()?;
///
/// let login = sessions.open("alice").scope("read").label("laptop").issue().await?;
/// let next = sessions.refresh(&login.refresh_token).await?.issue().await?.tokens;
///
/// // The response was lost: the client retries with the token that it has.
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
/// The methods need a Tokio runtime with a timer. Work that must not be left half done runs in a
/// task of its own, which goes on when the request is dropped.
#[derive(Clone)]
pub struct Sessions {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) tokens: TokenIssuer,
    pub(super) store: TimedStore,
    pub(super) idle_ttl: Duration,
    pub(super) grace: Duration,
    pub(super) lost_response_grace: Duration,
    pub(super) max_lost_responses: u32,
    pub(super) limit: Option<SessionLimit>,
    pub(super) events: EventHook,
    pub(super) calls: Calls,
}

// === impl Sessions ===

impl Sessions {
    /// Starts building the sessions of this issuer, which are kept in `store`. No other issuer may
    /// use the same store, because it does not tell subjects apart by issuer.
    pub fn builder(tokens: &TokenIssuer, store: impl SessionStore) -> SessionsBuilder {
        SessionsBuilder::new(tokens.clone(), Arc::new(store))
    }

    /// Returns the issuer that the sessions are built on.
    #[must_use]
    pub fn tokens(&self) -> &TokenIssuer {
        &self.inner.tokens
    }

    /// Starts a session for this subject, who has just logged in. Nothing is stored until
    /// [`issue`](OpenSession::issue).
    pub fn open(&self, sub: impl Into<String>) -> OpenSession<'_> {
        OpenSession::new(self, self.inner.tokens.access(sub))
    }

    /// Verifies a refresh token: its signature, type, issuer, audience and expiry. The session is
    /// neither looked up nor changed until [`issue`](RefreshSession::issue).
    ///
    /// # Errors
    ///
    /// - [`InvalidToken`](super::SessionErrorKind::InvalidToken) or
    ///   [`Expired`](super::SessionErrorKind::Expired): the token is not valid. No store was asked.
    /// - [`Unavailable`](super::SessionErrorKind::Unavailable): the token cannot be verified now. The
    ///   client should retry with the same token.
    pub async fn refresh(&self, refresh_token: &str) -> Result<RefreshSession<'_>, SessionError> {
        let token = self.verify(refresh_token).await?;
        Ok(RefreshSession::new(self, token))
    }

    /// Returns the live sessions of a subject, most recently used first, at most 1000.
    ///
    /// The session whose [`id`](Session::id) is the
    /// [`session_id`](crate::VerifiedToken::session_id) of a verified token is the one that the
    /// token belongs to.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    pub async fn list(&self, sub: &str) -> Result<Vec<Session>, SessionError> {
        if !end::can_be_stored(sub) {
            return Ok(Vec::new());
        }
        let now = self.inner.tokens.now();
        let records = self.inner.store.list(sub, now).await?;
        Ok(records.iter().map(Session::from).collect())
    }
}

impl Sessions {
    /// Runs work to its end, even if the request that asks for it is dropped. A store that hangs leaves at
    /// most [`MAX_CONCURRENT_CALLS`] such tasks behind.
    pub(super) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SessionError>> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.inner.calls.whole(work).await
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
