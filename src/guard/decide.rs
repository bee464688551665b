//! Decides whether a token meets a requirement, and makes the one challenge of a refusal.

use std::error::Error as StdError;
use std::fmt;

use http::Extensions;

use super::check::{Checking, Known};
use super::problem::Problem;
use super::require::Require;
use super::rule::{Lacking, Needed, Verdict};
use crate::error::{AuthError, AuthErrorKind};
use crate::layer::Seen;
use crate::verifier::VerifiedToken;

/// The result of everything that needs no waiting.
pub(super) enum Start {
    Pass,
    Refuse(AuthError),
    Wait(Checking),
}

// === impl Require ===

impl Require {
    pub(super) fn needs_io(&self) -> bool {
        self.inner.needs_io
    }

    /// Returns the error for every request if the requirement itself is wrong.
    pub(super) fn problem(&self) -> Option<AuthError> {
        self.inner.problem.as_ref().and_then(Problem::refusal)
    }

    pub(super) fn judge(&self, token: &VerifiedToken, known: &Known) -> Verdict<'_> {
        self.inner.rule.judge(token, known)
    }

    /// Decides about a token as far as possible without I/O.
    pub(super) fn start(&self, token: &VerifiedToken) -> Start {
        if let Some(problem) = self.problem() {
            return Start::Refuse(problem.told_by(token.refusals()));
        }
        match self.judge(token, &Known::default()) {
            Verdict::Pass => Start::Pass,
            Verdict::Denied(lacking) => Start::Refuse(self.denial(lacking, token)),
            Verdict::Failed(error) => Start::Refuse(error.told_by(token.refusals())),
            Verdict::Pending(_) => Start::Wait(Checking::new(self.clone(), token.clone())),
        }
    }

    /// Decides about a request as far as possible without I/O.
    pub(super) fn start_in(&self, extensions: &Extensions) -> Start {
        if let Some(token) = extensions.get::<VerifiedToken>() {
            return self.start(token);
        }
        let seen = extensions.get::<Seen>();
        let missing = match seen {
            Some(_) => AuthErrorKind::MissingToken,
            None => AuthErrorKind::MissingLayer,
        };
        let error = self.problem().unwrap_or_else(|| missing.into());
        Start::Refuse(error.told_by(seen.and_then(|seen| seen.refusals.as_ref())))
    }

    /// Returns the refusal of a token, with one challenge that names everything that is needed.
    pub(super) fn denial(&self, lacking: Lacking, token: &VerifiedToken) -> AuthError {
        let mut needed = Needed::default();
        self.inner.rule.collect(&mut needed);
        let error = if lacking.has(Lacking::LOGIN) {
            let error = AuthError::new(AuthErrorKind::InsufficientAuthentication)
                .with_scope(&needed.scopes)
                .with_acr_values(&needed.levels);
            match needed.max_age {
                Some(max_age) => error.with_max_age(max_age),
                None => error,
            }
        } else if lacking.has(Lacking::SCOPE) {
            AuthError::insufficient_scope(&needed.scopes)
        } else if lacking.has(Lacking::ANY_ROLE) {
            AuthError::new(AuthErrorKind::Forbidden).because(
                "a role is required, but the token has no roles: grant one when you issue the \
                 token (`role`), or name the claim in which another issuer writes roles \
                 (`TokenVerifierBuilder::role_claim`)",
            )
        } else {
            AuthErrorKind::Forbidden.into()
        };
        error
            .with_source(Unmet(self.clone()))
            .told_by(token.refusals())
    }
}

/// The requirement that a token did not meet, for logs.
#[derive(Debug)]
struct Unmet(Require);

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "required: {}", self.0)
    }
}

impl StdError for Unmet {}
