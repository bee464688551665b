//! Sessions: opened at login, rotated at each refresh, ended at logout.

mod error;
mod open;
mod rotated;

pub use error::{SessionError, SessionErrorKind};
pub use open::SessionRequest;
pub use rotated::RotatedSession;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::open::is_session_id;
use super::TokenIssuer;
use super::error::IssueError;
use super::pair::TokenPair;
use super::request::TokenRequest;
use crate::claims::TokenType;
use crate::clock::{as_micros, unix_micros};
use crate::error::AuthErrorKind;
use crate::event::{AuthEvent, EventHook};
use crate::jti;
use crate::keys::KeySource as _;
use crate::policy::MAX_LEEWAY;
use crate::revocation::Revocation;
use crate::session::{
    DynSessionStore, EndReason, Rotation, RotationOutcome, Session, SessionLimit, SessionRecord,
    SessionTarget,
};
use crate::store::StoreError;
use crate::verifier::VerifiedToken;

/// How an issuer keeps sessions.
#[derive(Debug)]
pub(in crate::issuer) struct Sessions {
    pub(in crate::issuer) store: Arc<dyn DynSessionStore>,
    pub(in crate::issuer) idle_ttl: Duration,
    pub(in crate::issuer) grace: Duration,
    pub(in crate::issuer) limit: Option<SessionLimit>,
    pub(in crate::issuer) events: EventHook,
}

/// What a session's access tokens say, as it is kept in its record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Payload {
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    auth_time: u64,
}

// === impl TokenIssuer ===

impl TokenIssuer {
    /// A new session for this subject, who has just logged in.
    ///
    /// ```
    /// use tower_jwt_auth::keys::Algorithm;
    /// use tower_jwt_auth::session::MemorySessions;
    /// use tower_jwt_auth::{SigningKey, TokenIssuer};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA)?)
    ///     .issuer("me")
    ///     .audience("api")
    ///     .sessions(MemorySessions::new())
    ///     .build()?;
    ///
    /// let login = tokens.open_session("alice").scope("read").label("laptop").issue().await?;
    /// let refreshed = tokens.rotate(&login.refresh_token).await?.issue()?;
    ///
    /// // The answer was lost: the client asks again with the token that it has.
    /// let again = tokens.rotate(&login.refresh_token).await?.issue()?;
    /// assert_eq!(again.refresh_token, refreshed.refresh_token);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_session(&self, sub: impl Into<String>) -> SessionRequest<'_> {
        SessionRequest::new(self.access(sub))
    }

    /// Trades a refresh token for the next pair of tokens.
    ///
    /// The token is verified before the store is asked; the store is asked once. A call that
    /// is dropped leaves the session in order: the same token can be used again.
    ///
    /// # Errors
    ///
    /// See [`SessionErrorKind`]. All but [`Unavailable`](SessionErrorKind::Unavailable) are
    /// final: the user has to log in again.
    pub async fn rotate(&self, refresh_token: &str) -> Result<RotatedSession<'_>, SessionError> {
        let sessions = self.require_sessions()?;
        let verified = self.verify_refresh(refresh_token).await?;
        let (Some(session), Some(generation), Some(subject)) = (
            verified.session_id(),
            verified.generation(),
            verified.subject(),
        ) else {
            return Err(SessionErrorKind::InvalidToken(AuthErrorKind::InvalidClaim).into());
        };
        let rotation = self.rotation(sessions, session, generation)?;
        let after = sessions.store.rotate(&rotation).await?;
        // A session is its subject's: a store that mixes them up must not hand one to another.
        let after = after.filter(|record| record.subject == subject);
        let outcome = rotation.outcome(after.as_ref());
        let told = |event: &AuthEvent<'_>| sessions.events.tell(event);
        let refused = match outcome {
            RotationOutcome::Rotated { rewound } => {
                if rewound {
                    told(&AuthEvent::RefreshStoreRewound { subject, session });
                }
                None
            }
            RotationOutcome::Converged(_) => None,
            RotationOutcome::ReuseDetected => {
                told(&AuthEvent::RefreshReuseDetected { subject, session });
                self.revoke_access_tokens(session).await;
                Some(SessionErrorKind::ReuseDetected)
            }
            RotationOutcome::StoreRewound => {
                told(&AuthEvent::RefreshStoreRewound { subject, session });
                Some(SessionErrorKind::StoreRewound)
            }
            RotationOutcome::Unknown => Some(SessionErrorKind::UnknownSession),
            RotationOutcome::Ended(reason) => {
                let ended_at = after.as_ref().and_then(|record| record.ended_at);
                let age = ended_at.map(|at| rotation.now.saturating_sub(at));
                if age.is_some_and(|age| age < rotation.lost_response) {
                    // Whoever ended it may have been cut off before this was done.
                    self.revoke_access_tokens(session).await;
                }
                Some(SessionErrorKind::Ended(reason))
            }
            RotationOutcome::Idle => Some(SessionErrorKind::Idle),
            RotationOutcome::Expired => Some(SessionErrorKind::Expired),
        };
        match (refused, after) {
            (None, Some(record)) => RotatedSession::new(self, record, outcome),
            (refused, _) => Err(refused.unwrap_or(SessionErrorKind::UnknownSession).into()),
        }
    }

    /// The live sessions of a subject, the one used last first; at most 1000.
    ///
    /// # Errors
    ///
    /// The store does not answer, or there is none.
    pub async fn sessions(&self, sub: &str) -> Result<Vec<Session>, SessionError> {
        let sessions = self.require_sessions()?;
        let records = sessions.store.list(sub, self.now()).await?;
        Ok(records.iter().map(Session::from).collect())
    }

    /// Verifies without the stores; a key that another node has just added to the ring is looked for.
    async fn verify_refresh(&self, refresh_token: &str) -> Result<VerifiedToken, SessionError> {
        let verify = || self.inner.refresh_verifier.verify_local(refresh_token);
        let verified = match (verify(), self.key_ring()) {
            (Err(error), Some(ring)) if error.kind() == AuthErrorKind::UnknownKey => {
                if ring.refresh(None).await.is_err() {
                    return Err(SessionErrorKind::Unavailable.into());
                }
                verify()
            }
            (verified, _) => verified,
        };
        Ok(verified.map_err(|error| SessionErrorKind::InvalidToken(error.kind()))?)
    }

    /// Ends a session if it is this subject's, with its access tokens; tells whether it was.
    ///
    /// # Errors
    ///
    /// A store does not answer; asking again is safe.
    pub async fn end_session_of(&self, sub: &str, sid: &str) -> Result<bool, SessionError> {
        if !is_session_id(sid) {
            // Nobody's; and some databases take no text with a NUL, which is no outage.
            self.require_sessions()?;
            return Ok(false);
        }
        let target = SessionTarget::SessionOf {
            session: sid,
            subject: sub,
        };
        Ok(!self.end_sessions(target).await?.is_empty())
    }

    /// Ends every session of a subject but one, with their access tokens; tells how many.
    ///
    /// # Errors
    ///
    /// A store does not answer; asking again is safe.
    pub async fn end_other_sessions(&self, sub: &str, sid: &str) -> Result<usize, SessionError> {
        let target = SessionTarget::OthersOf {
            session: sid,
            subject: sub,
        };
        Ok(self.end_sessions(target).await?.len())
    }

    /// Removes at most `limit` sessions that have been over for an access token's lifetime, and
    /// tells how many it removed. Call it now and then.
    ///
    /// # Errors
    ///
    /// The store does not answer, or there is none.
    pub async fn clean_up_sessions(&self, limit: u32) -> Result<u64, SessionError> {
        let sessions = self.require_sessions()?;
        let before = self.now().saturating_sub(as_micros(self.inner.access_ttl));
        Ok(sessions.store.clean_up(before, limit).await?)
    }

    /// Ends sessions. The access tokens of those that an owner names are revoked first, so that a
    /// call that failed in the middle can be made again; for the other targets the caller does it.
    pub(in crate::issuer) async fn end_sessions(
        &self,
        target: SessionTarget<'_>,
    ) -> Result<Vec<String>, SessionError> {
        let sessions = self.require_sessions()?;
        let named = match target {
            SessionTarget::SessionOf { session, subject } => {
                self.live_of(sessions, subject, |id| id == session).await?
            }
            SessionTarget::OthersOf { session, subject } => {
                self.live_of(sessions, subject, |id| id != session).await?
            }
            SessionTarget::Session(_) | SessionTarget::Subject(_) => Vec::new(),
        };
        for session in &named {
            self.record_session_end(session).await?;
        }
        let by_owner = !matches!(
            target,
            SessionTarget::Session(_) | SessionTarget::Subject(_)
        );
        let ended = sessions
            .store
            .end(target, EndReason::Revoked, self.now())
            .await?;
        for session in &ended {
            self.after_end(sessions, session, EndReason::Revoked);
            // One that was opened just now.
            if by_owner && !named.contains(session) {
                self.revoke_access_tokens(session).await;
            }
        }
        Ok(ended)
    }

    async fn live_of(
        &self,
        sessions: &Sessions,
        subject: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, SessionError> {
        let records = sessions.store.list(subject, self.now()).await?;
        Ok(records
            .into_iter()
            .map(|record| record.id)
            .filter(|id| wanted(id))
            .collect())
    }

    fn after_end(&self, sessions: &Sessions, session: &str, reason: EndReason) {
        sessions
            .events
            .tell(&AuthEvent::SessionEnded { session, reason });
    }

    fn require_sessions(&self) -> Result<&Sessions, SessionError> {
        self.inner
            .sessions
            .as_ref()
            .ok_or_else(|| SessionErrorKind::Issue(IssueError::NoSessionStore).into())
    }

    fn rotation(
        &self,
        sessions: &Sessions,
        session: &str,
        generation: u64,
    ) -> Result<Rotation, SessionError> {
        let now = self.inner.stamps.next(&*self.inner.clock);
        let token_id = jti::new_id(now).ok_or(IssueError::Internal)?;
        Ok(Rotation {
            session: session.to_owned(),
            generation,
            token_id,
            now,
            grace: as_micros(sessions.grace),
            lost_response: as_micros(self.inner.access_ttl),
        })
    }

    /// Revokes the access tokens of a session that has ended; does not stop when the request
    /// that caused it is dropped.
    async fn revoke_access_tokens(&self, session: &str) {
        let Some(store) = &self.inner.revocation else {
            return;
        };
        let revocation = self.session_revocation(session);
        let events = self
            .inner
            .sessions
            .as_ref()
            .map(|sessions| sessions.events.clone());
        let (store, session) = (Arc::clone(store), session.to_owned());
        let done = finish(async move {
            let done = store.revoke(&revocation).await;
            if done.is_err() {
                events
                    .unwrap_or_default()
                    .tell(&AuthEvent::RevocationFailed { session: &session });
            }
            done
        });
        // The session itself has ended, and the event has told the rest.
        let _ = done.await;
    }

    async fn record_session_end(&self, session: &str) -> Result<(), SessionError> {
        let Some(store) = &self.inner.revocation else {
            return Ok(());
        };
        let (store, revocation) = (Arc::clone(store), self.session_revocation(session));
        Ok(finish(async move { store.revoke(&revocation).await }).await?)
    }

    /// Access tokens alone: refresh tokens of a session are the session store's.
    fn session_revocation(&self, session: &str) -> Revocation {
        let until = self.inner.clock.now() + self.inner.access_ttl + MAX_LEEWAY;
        Revocation::session(self.issuer(), session, until)
    }

    fn now(&self) -> u64 {
        unix_micros(self.inner.clock.now())
    }

    /// The refresh token of a session, the same for everybody who is given it.
    fn refresh_token_of(&self, record: &SessionRecord) -> Result<String, IssueError> {
        let mut request = self.request(TokenType::Refresh, record.subject.clone(), Duration::ZERO);
        request.session = Some(record.id.clone());
        request.generation = Some(record.generation);
        // A clock that was set back, or that of another node, makes no token live longer.
        let issued_at = record.rotated_at.max(record.created_at);
        let expires_at = record.expires_at / 1_000_000;
        request.issue_at(issued_at, expires_at, record.token_id.clone())
    }

    fn access_request_of(&self, record: &SessionRecord, payload: &Payload) -> TokenRequest<'_> {
        let mut request = self.access(record.subject.clone());
        request.session = Some(record.id.clone());
        request.generation = Some(record.generation);
        request.claims = payload.claims.clone();
        request.scopes = payload.scopes.clone();
        request.auth_time = Some(payload.auth_time);
        // No access token outlives its session.
        let left = Duration::from_micros(record.expires_at.saturating_sub(self.now()));
        request.ttl = request.ttl.min(left).max(Duration::from_secs(1));
        request
    }

    fn pair_of(
        &self,
        record: &SessionRecord,
        access: TokenRequest<'_>,
    ) -> Result<TokenPair, IssueError> {
        // To the nearest second: a login takes its time.
        let left = record
            .expires_at
            .saturating_sub(self.now())
            .saturating_add(500_000);
        Ok(TokenPair {
            expires_in: access.ttl.as_secs(),
            access_token: access.issue()?,
            token_type: "Bearer",
            refresh_token: self.refresh_token_of(record)?,
            refresh_expires_in: left / 1_000_000,
        })
    }
}

/// Runs to its end also when whoever awaits it is dropped, where there is a runtime to do so.
async fn finish(
    task: impl Future<Output = Result<(), StoreError>> + Send + 'static,
) -> Result<(), StoreError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return task.await;
    };
    match runtime.spawn(task).await {
        Ok(done) => done,
        Err(stopped) => Err(StoreError::new(stopped)),
    }
}
