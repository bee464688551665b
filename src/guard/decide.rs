//! From a requirement and a token to a verdict, and to the one challenge of a refusal.

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

/// How far a request comes without waiting.
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

    /// The error for every request, if something is wrong with the requirement itself.
    pub(super) fn problem(&self) -> Option<AuthError> {
        self.inner.problem.as_ref().and_then(Problem::refusal)
    }

    pub(super) fn judge(&self, token: &VerifiedToken, known: &Known) -> Verdict<'_> {
        self.inner.rule.judge(token, known)
    }

    /// Decides about a token, as far as that goes without I/O.
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

    /// The same about a request.
    pub(super) fn start_in(&self, extensions: &Extensions) -> Start {
        if let Some(token) = extensions.get::<VerifiedToken>() {
            return self.start(token);
        }
        let seen = extensions.get::<Seen>();
        let missing = match seen {
            Some(_) => AuthErrorKind::MissingToken,
            None => AuthErrorKind::LayerMissing,
        };
        let error = self.problem().unwrap_or_else(|| missing.into());
        Start::Refuse(error.told_by(seen.and_then(|seen| seen.refusals.as_ref())))
    }

    /// The refusal of a token that lacks something, with one challenge that names all that is needed.
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
                "a role is missing, and the token has none at all: if its roles are in a claim, name the \
                 claim by `TokenVerifierBuilder::role_claim`",
            )
        } else {
            AuthErrorKind::Forbidden.into()
        };
        error
            .with_source(Unmet(self.clone()))
            .told_by(token.refusals())
    }
}

/// Why a token was refused, for logs.
#[derive(Debug)]
struct Unmet(Require);

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "required: {}", self.0)
    }
}

impl StdError for Unmet {}
