//! [`RefreshSession`]: a verified refresh token, before it is exchanged.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use super::tokens::{Payload, RefreshToken};
use crate::clock::as_micros;
use crate::dpop::DpopProof;
use crate::event::SessionEvent;
use crate::issuer::{IssueError, TokenPair};
use crate::jti::{self, Digest};
use crate::keys::digest;
use crate::revocation::RevocationQuery;
use crate::session::{
    EndReason, EndedSession, Rotation, RotationOutcome, Session, SessionRecord, SessionTarget,
};

/// A verified refresh token that is about to be exchanged for the next pair of tokens.
///
/// The session has not changed yet. Look the user up, set the [claims](Self::claims) and
/// [scopes](Self::scopes) that have changed since the login, and call [`issue`](Self::issue).
#[must_use = "no token is issued until `issue()`"]
pub struct RefreshSession<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) token: RefreshToken,
    /// Claims to set, or to leave out.
    changes: Vec<(String, Option<Value>)>,
    narrowed: Option<Vec<String>>,
    client: Option<Vec<u8>>,
    pub(super) proof: Option<DpopProof>,
    problem: Option<SessionError>,
}

/// The result of a refresh.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Refreshed {
    /// The next pair of tokens, ready to be the body of the response.
    pub tokens: TokenPair,
    /// The session, as its owner may see it.
    pub session: Session,
    /// Whether this refresh moved the session on, or an earlier one with the same token had already done so.
    pub outcome: RotationOutcome,
}

/// A session that was refreshed, before its tokens are made.
struct Stepped {
    record: SessionRecord,
    outcome: RotationOutcome,
    stamp: u64,
}

// === impl RefreshSession ===

impl<'a> RefreshSession<'a> {
    pub(super) fn new(sessions: &'a Sessions, token: RefreshToken) -> Self {
        Self {
            sessions,
            token,
            changes: Vec::new(),
            narrowed: None,
            client: None,
            proof: None,
            problem: None,
        }
    }

    /// Returns the subject that the session belongs to.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.token.subject
    }

    /// Returns the session id (`sid`).
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.token.session
    }

    /// Returns the scopes that the session was opened with.
    #[must_use]
    pub fn granted_scopes(&self) -> &[String] {
        &self.token.scopes
    }

    /// Sets a custom claim of this access token. It replaces the claim of the same name that was
    /// set at login; the session keeps the claim of the login.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => self.claims(Value::Object([(name, value)].into_iter().collect())),
            Err(_) => {
                self.fail(IssueError::InvalidClaim(name).into());
                self
            }
        }
    }

    /// Sets the fields of a struct or the entries of a map as custom claims of this access token.
    /// Each replaces the claim of the same name that was set at login. All other claims of the
    /// login stay.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        let request = self.sessions.inner.tokens.access("-").claims(claims);
        match request.check() {
            Ok(()) => {
                let claims = request.claims.into_iter();
                self.changes
                    .extend(claims.map(|(name, value)| (name, Some(value))));
            }
            Err(problem) => self.fail(problem.into()),
        }
        self
    }

    /// Removes the custom claim of this name, which was set at login, from this access token.
    pub fn without_claim(mut self, name: impl Into<String>) -> Self {
        self.changes.push((name.into(), None));
        self
    }

    /// Sets the scopes of this access token. Each must be one of the
    /// [scopes of the login](Self::granted_scopes) (RFC 6749 section 6); otherwise
    /// [`issue`](Self::issue) fails. The session keeps the scopes of the login.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> = scopes
            .into_iter()
            .flat_map(|scopes| {
                let scopes = scopes.as_ref().split(' ').filter(|scope| !scope.is_empty());
                scopes.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let mut seen = HashSet::new();
        let scopes: Vec<String> = scopes
            .into_iter()
            .filter(|scope| seen.insert(scope.clone()))
            .collect();
        let granted = self.granted_scopes();
        if scopes.iter().any(|scope| !granted.contains(scope)) {
            self.fail(SessionErrorKind::InvalidScope.into());
        }
        self.narrowed = Some(scopes);
        self
    }

    /// Sets a mark that distinguishes this client from others: a device cookie, a hash of it with
    /// the `User-Agent`, or the thumbprint of a proof-of-possession key. Only a digest is kept.
    ///
    /// A replaced token is then accepted only from the client whose refresh replaced it: two tabs
    /// of one browser have the same mark, and a thief has another. The mark may change from one
    /// refresh to the next, for example when a browser is updated.
    ///
    /// # Security
    ///
    /// Set a mark at every login and every refresh. If a request lacks what the mark is made of, set
    /// an empty mark. If a refresh sets no mark at all, two things happen. A replaced token without
    /// a mark is refused if the refresh that replaced it had one. And if the refresh without a mark
    /// is the one that replaces a token, the replaced token is accepted from any client.
    ///
    /// Without marks, a thief who refreshes within seconds of the client each time is reported as
    /// an [event](crate::sessions::SessionEvent::RefreshConverged), but not stopped.
    pub fn client(mut self, mark: impl AsRef<[u8]>) -> Self {
        self.client = Some(mark.as_ref().to_owned());
        self
    }

    /// Exchanges the token for the next pair of tokens. The session moves on here, in one atomic
    /// step.
    ///
    /// If the call is dropped, the client can use the same token again.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](SessionErrorKind::Unavailable): the client should retry with the same
    ///   token.
    /// - [`InvalidScope`](SessionErrorKind::InvalidScope) or [`Issue`](SessionErrorKind::Issue): a
    ///   scope was not granted at login, or a claim is invalid.
    /// - [`ProofRequired`](SessionErrorKind::ProofRequired) or
    ///   [`InvalidProof`](SessionErrorKind::InvalidProof): the DPoP proof is missing or was used before.
    /// - All other [kinds](SessionErrorKind) mean that the session is over: the user has to log in
    ///   again.
    pub async fn issue(self) -> Result<Refreshed, SessionError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_issuable()?;
        self.check_key().await?;
        let key = self.proof.map(|proof| proof.thumbprint().to_owned());
        let client = self.client.map(client_digest).transpose()?;
        let (sessions, token) = (self.sessions.clone(), self.token);
        let stepped = self
            .sessions
            .whole(async move { sessions.step(&token, client).await })
            .await?;
        let Stepped {
            record,
            outcome,
            stamp,
        } = stepped;
        let mut payload = Payload::of(&record)?;
        let scopes = self.narrowed.unwrap_or_else(|| payload.scopes.clone());
        for (name, value) in self.changes {
            match value {
                Some(value) => payload.claims.insert(name, value),
                None => payload.claims.remove(&name),
            };
        }
        Ok(Refreshed {
            tokens: self
                .sessions
                .pair_of(&record, &payload, &scopes, stamp, key.as_deref())?,
            session: Session::from(&record),
            outcome,
        })
    }

    /// Fails if the access token could not be issued, before the session moves on.
    fn check_issuable(&self) -> Result<(), IssueError> {
        let tokens = &self.sessions.inner.tokens;
        let mut access = tokens.access(self.token.subject.clone());
        access.session = Some(self.token.session.clone());
        access.generation = Some(self.token.generation);
        access.key = self
            .proof
            .as_ref()
            .map(|proof| proof.thumbprint().to_owned());
        access.scopes = self
            .narrowed
            .clone()
            .unwrap_or_else(|| self.token.scopes.clone());
        for (name, value) in &self.changes {
            match value {
                Some(value) => access.claims.insert(name.clone(), value.clone()),
                None => access.claims.remove(name),
            };
        }
        access.check_issuable(tokens.stamp())
    }

    /// Keeps the first problem, which [`issue`](Self::issue) returns.
    fn fail(&mut self, problem: SessionError) {
        self.problem.get_or_insert(problem);
    }
}

impl fmt::Debug for RefreshSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshSession")
            .field("session", &Digest(&self.token.session))
            .field("generation", &self.token.generation)
            .finish_non_exhaustive()
    }
}

// === impl Sessions ===

impl Sessions {
    /// Rotates the session, and does what follows from the outcome.
    async fn step(
        &self,
        token: &RefreshToken,
        client: Option<String>,
    ) -> Result<Stepped, SessionError> {
        let (tokens, store) = (&self.inner.tokens, &self.inner.store);
        // Taken before the cut-off is looked up, so that tokens of this call are not issued after
        // a cut-off that the look-up misses.
        let stamp = tokens.stamp();
        let token_id = jti::new_id(stamp).ok_or(IssueError::Internal)?;
        let query = token.revocation_query(tokens.issuer(), &token_id);
        if tokens.is_revoked(query).await? {
            // The row may have been missed when the subject's sessions were ended.
            self.end_all_in(SessionTarget::SessionOf {
                session: &token.session,
                subject: &token.subject,
            })
            .await?;
            return Err(SessionErrorKind::Ended(EndReason::Revoked).into());
        }
        let rotation = Rotation {
            session: token.session.clone(),
            generation: token.generation,
            token_id,
            now: stamp,
            grace: as_micros(self.inner.grace),
            lost_response_grace: as_micros(self.inner.lost_response_grace),
            max_lost_responses: self.inner.max_lost_responses,
            client,
        };
        let after = store.rotate(&rotation).await?;
        // A store that mixes sessions up must not hand one to another subject, or unbind one.
        let after = after
            .filter(|record| record.subject == token.subject && record.key_thumbprint == token.key);
        let outcome = rotation.outcome(after.as_ref());
        let refused = self.after_step(&rotation, outcome, after.as_ref()).await;
        match (refused, after) {
            (None, Some(record)) => Ok(Stepped {
                record,
                outcome,
                stamp,
            }),
            (refused, _) => Err(refused.unwrap_or(SessionErrorKind::UnknownSession).into()),
        }
    }

    /// Revokes access tokens and reports events as the outcome requires. Returns the reason why
    /// there are no tokens, or `None` if tokens can be issued.
    async fn after_step(
        &self,
        rotation: &Rotation,
        outcome: RotationOutcome,
        after: Option<&SessionRecord>,
    ) -> Option<SessionErrorKind> {
        let Some(record) = after else {
            return Some(SessionErrorKind::UnknownSession);
        };
        let (subject, session) = (record.subject.as_str(), record.id.as_str());
        let tell = |event: SessionEvent<'_>| self.inner.events.tell(&event);
        match outcome {
            RotationOutcome::Rotated { rewound: false } => None,
            RotationOutcome::Rotated { rewound: true } => {
                tell(SessionEvent::RefreshStoreRewound { subject, session });
                None
            }
            RotationOutcome::Converged(kind) => {
                tell(SessionEvent::RefreshConverged {
                    subject,
                    session,
                    kind,
                    run: record.convergences,
                });
                None
            }
            RotationOutcome::ReuseDetected => {
                let ended = EndedSession::new(session, subject, rotation.now);
                // The session itself has ended. A failure to revoke is reported as an event.
                let _ = self.revoke(std::slice::from_ref(&ended)).await;
                tell(SessionEvent::RefreshReuseDetected { subject, session });
                Some(SessionErrorKind::ReuseDetected)
            }
            RotationOutcome::StoreRewound => {
                tell(SessionEvent::RefreshStoreRewound { subject, session });
                Some(SessionErrorKind::StoreRewound)
            }
            RotationOutcome::Ended(reason) => {
                let ended = EndedSession::new(session, subject, record.ended_at.unwrap_or(0));
                if ended.ended_at >= self.ended_since(rotation.now) {
                    // The process that ended it may have been killed before it revoked anything.
                    let _ = self.revoke(std::slice::from_ref(&ended)).await;
                }
                Some(SessionErrorKind::Ended(reason))
            }
            RotationOutcome::Delayed => Some(SessionErrorKind::Unavailable),
            RotationOutcome::Unknown => Some(SessionErrorKind::UnknownSession),
            RotationOutcome::Idle => Some(SessionErrorKind::Idle),
            RotationOutcome::Expired => Some(SessionErrorKind::Expired),
        }
    }
}

// === impl RefreshToken ===

impl RefreshToken {
    /// Returns the query that asks whether the session was revoked, or everything that was issued to the
    /// subject until the login or a later time.
    ///
    /// It contains the id of the next refresh token, so that no cache has an answer from before.
    fn revocation_query<'q>(
        &'q self,
        issuer: Option<&'q str>,
        next_token_id: &'q str,
    ) -> RevocationQuery<'q> {
        RevocationQuery {
            issuer,
            subject: &self.subject,
            session: Some(&self.session),
            token: next_token_id,
            issued_at: self.opened_at,
        }
    }
}

/// The digest of a client's mark, which is all that is kept of it.
pub(super) fn client_digest(mark: impl AsRef<[u8]>) -> Result<String, IssueError> {
    digest(mark.as_ref()).ok_or(IssueError::Internal)
}
