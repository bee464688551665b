//! [`RotatedSession`]: an accepted refresh token, before the next pair is made.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Payload;
use super::error::{SessionError, SessionErrorKind};
use crate::issuer::TokenIssuer;
use crate::issuer::pair::TokenPair;
use crate::session::{RotationOutcome, Session, SessionRecord};
use crate::store::StoreError;

/// A session whose refresh token was accepted: the next pair of tokens is yet to be made.
///
/// [`issue`](Self::issue) makes it with the claims and scopes of the login. Where those may
/// have changed since, look at [`session`](Self::session), and set new
/// [`claims`](Self::claims) first.
#[must_use = "no token is made until `issue()`"]
pub struct RotatedSession<'a> {
    issuer: &'a TokenIssuer,
    record: SessionRecord,
    payload: Payload,
    outcome: RotationOutcome,
    narrowed: Option<Vec<String>>,
    problem: Option<SessionError>,
}

// === impl RotatedSession ===

impl<'a> RotatedSession<'a> {
    pub(super) fn new(
        issuer: &'a TokenIssuer,
        record: SessionRecord,
        outcome: RotationOutcome,
    ) -> Result<Self, SessionError> {
        let payload = serde_json::from_str(&record.payload)
            .map_err(|_| StoreError::new("the session's payload is not what was stored"))?;
        Ok(Self {
            issuer,
            record,
            payload,
            outcome,
            narrowed: None,
            problem: None,
        })
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::from(&self.record)
    }

    /// Whether the session moved on, or had done so already.
    #[must_use]
    pub fn outcome(&self) -> RotationOutcome {
        self.outcome
    }

    /// The custom claims of the login.
    #[must_use]
    pub fn custom_claims(&self) -> &Map<String, Value> {
        &self.payload.claims
    }

    /// The scopes of the login.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.payload.scopes
    }

    /// Replaces all custom claims of the access token, for what has changed since the login.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        let request = self.issuer.access("-").claims(claims);
        match request.check() {
            Ok(()) => self.payload.claims = request.claims,
            Err(problem) => self.problem = Some(problem.into()),
        }
        self
    }

    /// Gives the access token fewer scopes; each must be one of the session's.
    pub fn narrow<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> = scopes
            .into_iter()
            .map(|scope| scope.as_ref().to_owned())
            .collect();
        if scopes
            .iter()
            .any(|scope| !self.payload.scopes.contains(scope))
        {
            self.problem = Some(SessionErrorKind::InvalidScope.into()); // S05
        }
        self.narrowed = Some(scopes);
        self
    }

    /// Makes the next pair of tokens.
    ///
    /// # Errors
    ///
    /// A scope that the session does not have, or a claim that is none.
    pub fn issue(mut self) -> Result<TokenPair, SessionError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if let Some(scopes) = self.narrowed {
            self.payload.scopes = scopes;
        }
        let access = self.issuer.access_request_of(&self.record, &self.payload);
        Ok(self.issuer.pair_of(&self.record, access)?)
    }
}

impl fmt::Debug for RotatedSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatedSession")
            .field("session", &self.record.id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
