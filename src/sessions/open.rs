//! [`OpenSession`]: a session that is about to be opened.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use super::Sessions;
use super::end::can_be_stored;
use super::error::{SessionError, SessionErrorKind};
use super::refresh::client_digest;
use super::tokens::Payload;
use crate::clock::as_micros;
use crate::dpop::DpopProof;
use crate::event::SessionEvent;
use crate::issuer::{IssueError, TokenPair, TokenRequest};
use crate::jti;
use crate::revocation::RevocationQuery;
use crate::session::{CreateOutcome, EndReason, EndSessions, SessionRecord, SessionTarget};
use crate::store::StoreError;

/// The longest label that is kept, in characters.
const MAX_LABEL_CHARS: usize = 200;

/// A session that is about to be opened. [`Sessions::open`] starts it, and
/// [`issue`](Self::issue) opens it.
#[must_use = "no session is opened until `issue()`"]
pub struct OpenSession<'a> {
    sessions: &'a Sessions,
    request: TokenRequest<'a>,
    label: Option<String>,
    client: Option<Vec<u8>>,
    proof: Option<DpopProof>,
}

// === impl OpenSession ===

impl<'a> OpenSession<'a> {
    pub(super) fn new(sessions: &'a Sessions, request: TokenRequest<'a>) -> Self {
        Self {
            sessions,
            request,
            label: None,
            client: None,
            proof: None,
        }
    }

    /// Sets the name that the owner sees in the list of sessions, such as the name of a device.
    ///
    /// It may be text that the client sent: control characters are removed, and only the first 200
    /// characters are kept.
    pub fn label(mut self, label: impl AsRef<str>) -> Self {
        let printable = label
            .as_ref()
            .chars()
            .filter(|character| !character.is_control());
        self.label = Some(printable.take(MAX_LABEL_CHARS).collect());
        self
    }

    /// Sets a mark that distinguishes this client from others, such as a device cookie. Only a
    /// digest is kept. See [`RefreshSession::client`](super::RefreshSession::client).
    pub fn client(mut self, mark: impl AsRef<[u8]>) -> Self {
        self.client = Some(mark.as_ref().to_owned());
        self
    }

    /// Binds the session to the key of a DPoP proof (RFC 9449): its refresh tokens and access tokens are then
    /// worthless without proofs by this key. `None` leaves it unbound.
    ///
    /// [`issue`](Self::issue) marks the proof as used before it opens the session. If clients have to bind
    /// their sessions, take a `DpopProof` in the route, and not an `Option`.
    ///
    /// ```
    /// use tower_jwt_auth::Sessions;
    /// use tower_jwt_auth::dpop::DpopProof;
    /// use tower_jwt_auth::issuer::TokenPair;
    /// use tower_jwt_auth::sessions::SessionError;
    ///
    /// async fn log_in(sessions: &Sessions, user: &str, proof: Option<DpopProof>) -> Result<TokenPair, SessionError> {
    ///     sessions.open(user).dpop(proof.as_ref()).issue().await
    /// }
    /// ```
    pub fn dpop<'p>(mut self, proof: impl Into<Option<&'p DpopProof>>) -> Self {
        self.proof = proof.into().cloned();
        self
    }

    /// Adds a custom claim to all access tokens of the session. Names that the issuer sets itself
    /// are reserved.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.request = self.request.claim(name, value);
        self
    }

    /// Adds the fields of a struct or the entries of a map to all access tokens of the session,
    /// each as a custom claim.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        self.request = self.request.claims(claims);
        self
    }

    /// Adds a scope to the session, or several that are separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope);
        self
    }

    /// Adds several scopes to the session.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.scopes(scopes);
        self
    }

    /// Adds a role to all access tokens of the session, in the claim `roles`. An empty text adds no
    /// role.
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        self.request = self.request.role(role);
        self
    }

    /// Adds several roles to all access tokens of the session.
    pub fn roles<S: AsRef<str>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.roles(roles);
        self
    }

    /// Sets the time at which the user logged in. The default is now. It stays the same through
    /// all refreshes (RFC 9068 section 2.2.1).
    pub fn auth_time(mut self, time: SystemTime) -> Self {
        self.request = self.request.auth_time(time);
        self
    }

    /// Opens the session, and issues its first pair of tokens.
    ///
    /// If the request is dropped in the meantime, a session may remain for which nobody has a
    /// token. It is listed until its idle timeout.
    ///
    /// # Errors
    ///
    /// Fails if a claim or a scope is invalid, if the subject is empty, if the subject already has as many
    /// sessions as allowed, if the DPoP proof was used before, if the session store, the revocation store or
    /// the replay store is unavailable, or if the subject was logged out everywhere at a time that is ahead
    /// of this node's clock by more than 25 seconds, or by more than a shorter leeway.
    pub async fn issue(self) -> Result<TokenPair, SessionError> {
        let Self {
            sessions,
            request,
            label,
            client,
            proof,
        } = self;
        request.check()?;
        if !can_be_stored(&request.subject) {
            return Err(IssueError::InvalidClaim("sub".to_owned()).into());
        }
        let now = sessions.stamp_of_login(&request.subject).await?;
        let payload = Payload {
            auth_time: request.auth_time.unwrap_or(now / 1_000_000),
            claims: request.claims,
            scopes: request.scopes,
        };
        let lifetime = as_micros(sessions.inner.tokens.refresh_ttl());
        let id = jti::new_id(now).ok_or(IssueError::Internal)?;
        let mut record = SessionRecord::new(id, request.subject, now);
        record.token_id = jti::new_id(now).ok_or(IssueError::Internal)?;
        record.idle_ttl = as_micros(sessions.inner.idle_ttl);
        record.expires_at = now.saturating_add(lifetime);
        record.client = client.map(client_digest).transpose()?;
        record.key_thumbprint = proof.as_ref().map(|proof| proof.thumbprint().to_owned());
        record.label = label;
        record.payload = serde_json::to_string(&payload).map_err(|_| IssueError::Internal)?;
        // The tokens are made first: without them, the session must not be opened.
        let key = record.key_thumbprint.as_deref();
        let pair = sessions.pair_of(&record, &payload, &payload.scopes, now, key)?;
        if let Some(proof) = &proof {
            proof.mark_used().await?;
        }

        let this = sessions.clone();
        sessions
            .whole(async move { this.store_new(&record).await })
            .await?;
        Ok(pair)
    }
}

impl fmt::Debug for OpenSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSession").finish_non_exhaustive()
    }
}

// === impl Sessions ===

impl Sessions {
    /// Returns the stamp of a login: the time now or, if the subject was logged out everywhere by a node
    /// whose clock is ahead, a time after that cut-off. It is ahead of this node's clock by at most 25
    /// seconds, and never by more than the leeway.
    async fn stamp_of_login(&self, subject: &str) -> Result<u64, SessionError> {
        const SECONDS: [u64; 7] = [0, 1, 2, 5, 10, 15, 25];
        let tokens = &self.inner.tokens;
        let stamp = tokens.stamp();
        let leeway = tokens.leeway().as_secs();
        for ahead in SECONDS.into_iter().filter(|ahead| *ahead <= leeway) {
            let at = stamp.saturating_add(ahead * 1_000_000);
            // A new id, so that no cache has an answer for it.
            let id = jti::new_id(at).ok_or(IssueError::Internal)?;
            let query = RevocationQuery {
                issuer: tokens.issuer(),
                subject,
                session: None,
                token: &id,
                issued_at: at,
            };
            if !tokens.is_revoked(query).await? {
                return Ok(at);
            }
        }
        let behind = "the subject's tokens are revoked up to a time that is ahead of this clock";
        Err(StoreError::new(behind).into())
    }

    async fn store_new(&self, record: &SessionRecord) -> Result<(), SessionError> {
        let ended = match self.inner.store.create(record, self.inner.limit).await {
            Ok(CreateOutcome::Opened { ended }) => ended,
            Ok(CreateOutcome::Full) => return Err(SessionErrorKind::TooManySessions.into()),
            Err(error) => {
                // It may have been stored: nobody has a token of it, but it counts.
                let target = SessionTarget::Session(&record.id);
                let now = self.inner.tokens.stamp();
                let end = EndSessions::new(target, EndReason::Revoked, now);
                let _ = self.inner.store.end(end).await;
                return Err(error.into());
            }
        };
        // The new session exists by now. If the access tokens of a replaced one could not be
        // revoked, that is reported as an event.
        let _ = self.after_end(&ended, EndReason::Replaced).await;
        self.inner.events.tell(&SessionEvent::SessionOpened {
            subject: &record.subject,
            session: &record.id,
        });
        Ok(())
    }
}
