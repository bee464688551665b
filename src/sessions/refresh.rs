//! [`RefreshSession`]: a refresh token that was verified, before its session moves on.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use super::tokens::{Payload, RefreshToken};
use crate::clock::as_micros;
use crate::event::AuthEvent;
use crate::issuer::{IssueError, TokenPair};
use crate::jti::{self, Digest};
use crate::keys::digest;
use crate::revocation::RevocationQuery;
use crate::session::{
    EndReason, EndedSession, Rotation, RotationOutcome, Session, SessionRecord, SessionTarget,
};
use crate::store::to_the_end;

/// A refresh token that was verified, and is yet to be traded for the next pair of tokens.
///
/// Nothing has happened yet: look the user up, set the [claims](Self::claims) and
/// [scopes](Self::scopes) that have changed since the login, and [`issue`](Self::issue).
#[must_use = "no token is made until `issue()`"]
pub struct RefreshSession<'a> {
    sessions: &'a Sessions,
    token: RefreshToken,
    /// Claims to set, or to leave out.
    changes: Vec<(String, Option<Value>)>,
    narrowed: Option<Vec<String>>,
    client: Option<Vec<u8>>,
    problem: Option<SessionError>,
}

/// The result of a refresh.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The next pair of tokens, ready to be the body of the response.
    pub tokens: TokenPair,
    /// The session.
    pub session: Session,
    /// Whether the session moved on, or had done so already.
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

    /// Sets a custom claim of the access token, in place of the login's claim of this name.
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

    /// Sets the fields of a struct or the entries of a map as custom claims of the access token.
    /// Each takes the place of the login's claim of its name; the login's other claims stay.
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

    /// Leaves out the login's custom claim of this name.
    pub fn without_claim(mut self, name: impl Into<String>) -> Self {
        self.changes.push((name.into(), None));
        self
    }

    /// Sets the scopes of this access token, each of which must be one of the
    /// [scopes of the login](Self::granted_scopes) (RFC 6749 section 6). The session keeps its own.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> = scopes
            .into_iter()
            .flat_map(|scopes| {
                let scopes = scopes.as_ref().split(' ').filter(|scope| !scope.is_empty());
                scopes.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let granted = self.granted_scopes();
        if scopes.iter().any(|scope| !granted.contains(scope)) {
            self.fail(SessionErrorKind::InvalidScope.into());
        }
        self.narrowed = Some(scopes);
        self
    }

    /// Sets a mark by which this client is told from others: a device cookie, a hash of it with
    /// the `User-Agent`, or the thumbprint of a proof-of-possession key. Only a digest is kept.
    ///
    /// A replaced token is then accepted only from the client whose refresh replaced it: two tabs
    /// of one browser have one mark, and a thief has another. The mark may change from one refresh
    /// to the next, as when a browser is updated.
    ///
    /// # Security
    ///
    /// Give a mark at every login and every refresh; if what it is made of is missing from a request,
    /// give an empty one. A refresh without any mark is refused where it would converge with
    /// one that had a mark, but after it the next convergence is compared with nothing. Without marks, a
    /// thief who refreshes within seconds of the client each time is reported as an
    /// [event](crate::AuthEvent::RefreshConverged), and not found.
    pub fn client(mut self, mark: impl AsRef<[u8]>) -> Self {
        self.client = Some(mark.as_ref().to_owned());
        self
    }

    /// Trades the token for the next pair. What can be wrong with the request was found before;
    /// the session moves on only here, in one step.
    ///
    /// A call that is dropped leaves the session in order: the same token can be used again.
    ///
    /// # Errors
    ///
    /// See [`SessionErrorKind`]. After [`Unavailable`](SessionErrorKind::Unavailable) the client
    /// comes back with the same token; after the others the user has to log in again.
    pub async fn issue(self) -> Result<Refreshed, SessionError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let client = self.client.map(client_digest).transpose()?;
        let (sessions, token) = (self.sessions.clone(), self.token);
        let stepped = to_the_end(async move { sessions.step(&token, client).await }).await??;
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
            tokens: self.sessions.pair_of(&record, &payload, &scopes, stamp)?,
            session: Session::from(&record),
            outcome,
        })
    }

    /// The first problem is the one that is told.
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
    /// Moves the session on, and does what follows from the outcome.
    async fn step(
        &self,
        token: &RefreshToken,
        client: Option<String>,
    ) -> Result<Stepped, SessionError> {
        let (tokens, store) = (&self.inner.tokens, &self.inner.store);
        // Before the cut-off is asked for: what is made by this call is then not after it.
        let stamp = tokens.stamp();
        if tokens
            .is_revoked(token.revocation_query(tokens.issuer()))
            .await?
        {
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
            token_id: jti::new_id(stamp).ok_or(IssueError::Internal)?,
            now: stamp,
            grace: as_micros(self.inner.grace),
            lost_response: as_micros(self.inner.lost_response),
            max_lost_responses: self.inner.max_lost_responses,
            client,
        };
        let after = store.rotate(&rotation).await?;
        // A session is its subject's: a store that mixes them up must not hand one to another.
        let after = after.filter(|record| record.subject == token.subject);
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

    /// Revokes and tells what has to be; returns why there are no tokens, if there are none.
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
        let tell = |event: AuthEvent<'_>| self.inner.events.tell(&event);
        match outcome {
            RotationOutcome::Rotated { rewound: false } => None,
            RotationOutcome::Rotated { rewound: true } => {
                tell(AuthEvent::RefreshStoreRewound { subject, session });
                None
            }
            RotationOutcome::Converged(kind) => {
                tell(AuthEvent::RefreshConverged {
                    subject,
                    session,
                    kind,
                    run: record.convergences,
                });
                None
            }
            RotationOutcome::ReuseDetected => {
                let ended = EndedSession::new(session, subject, rotation.now);
                // The session itself has ended, and the event tells that the rest has not.
                let _ = self.revoke(std::slice::from_ref(&ended)).await;
                tell(AuthEvent::RefreshReuseDetected { subject, session });
                Some(SessionErrorKind::ReuseDetected)
            }
            RotationOutcome::StoreRewound => {
                tell(AuthEvent::RefreshStoreRewound { subject, session });
                Some(SessionErrorKind::StoreRewound)
            }
            RotationOutcome::Ended(reason) => {
                let ended = EndedSession::new(session, subject, record.ended_at.unwrap_or(0));
                if ended.ended_at >= self.told_since(rotation.now) {
                    // Whoever ended it may have been killed before this was done.
                    let _ = self.revoke(std::slice::from_ref(&ended)).await;
                }
                Some(SessionErrorKind::Ended(reason))
            }
            RotationOutcome::Unknown => Some(SessionErrorKind::UnknownSession),
            RotationOutcome::Idle => Some(SessionErrorKind::Idle),
            RotationOutcome::Expired => Some(SessionErrorKind::Expired),
        }
    }
}

// === impl RefreshToken ===

impl RefreshToken {
    /// Asks for a cut-off of the subject at or after the login, and for the session.
    fn revocation_query<'q>(&'q self, issuer: Option<&'q str>) -> RevocationQuery<'q> {
        RevocationQuery {
            issuer,
            subject: &self.subject,
            session: Some(&self.session),
            token: &self.token_id,
            issued_at: self.opened_at,
        }
    }
}

/// What is kept of a client's mark.
pub(super) fn client_digest(mark: impl AsRef<[u8]>) -> Result<String, IssueError> {
    digest(mark.as_ref()).ok_or(IssueError::Internal)
}
