//! [`Decision`]: what a layer has decided about a request, for metrics and audits.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bearer::Carrier;
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::{CredentialKind, VerifiedToken};

/// What a [`JwtAuthLayer`](crate::JwtAuthLayer) has decided about one request, passed to
/// [`on_decision`](crate::JwtAuthLayer::on_decision).
///
/// The values of [`Outcome::as_str`], [`reason`](Self::reason) and [`token_source`](Self::token_source) are
/// stable and few, so that they can be metric labels; [the guide](crate::guide::why_401) lists the reasons.
/// None of them contains anything that a client has sent.
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    pub(super) outcome: Outcome,
    pub(super) token: Option<&'a VerifiedToken>,
    pub(super) error: Option<&'a AuthError>,
    pub(super) carrier: Carrier,
    pub(super) waited: bool,
    pub(super) duration: Duration,
}

/// What a layer has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The request goes on with a verified token.
    Accepted,
    /// The request goes on without a token, because the layer is [optional](crate::JwtAuthLayer::optional).
    Anonymous,
    /// The request goes on without a token, because its cookie is bad and was
    /// [ignored](crate::JwtAuthLayer::optional_ignoring_bad_cookies).
    CookieIgnored,
    /// The request goes on as a CORS [preflight](crate::JwtAuthLayer::allow_preflight).
    Preflight,
    /// The layer has refused the request with 400, 401 or 403.
    Refused,
    /// The layer could not decide, because a store or a key server is unavailable: 503.
    Unavailable,
    /// The service has a fault: 500.
    Failed,
    /// The layer has let the request through, but a guard, an extractor or a handler behind it has refused it.
    /// This is reported in addition to the decision of the layer, when the response passes through the layer.
    RefusedDownstream,
}

type Hook = dyn Fn(&Decision<'_>) + Send + Sync;

/// The function that receives decisions, if one is set.
#[derive(Clone, Default)]
pub(super) struct DecisionHook(Option<Arc<Hook>>);

/// A decision that is being made: the hook, and when the request arrived. It only exists if there is a hook.
pub(super) struct Report {
    hook: Arc<Hook>,
    begun: Instant,
    carrier: Carrier,
    waited: bool,
}

// === impl Outcome ===

impl Outcome {
    /// All outcomes, for example to register a metric label for each.
    pub const ALL: &'static [Self] = &[
        Self::Accepted,
        Self::Anonymous,
        Self::CookieIgnored,
        Self::Preflight,
        Self::Refused,
        Self::Unavailable,
        Self::Failed,
        Self::RefusedDownstream,
    ];

    /// Returns the stable, lower-case name of the outcome, for metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Anonymous => "anonymous",
            Self::CookieIgnored => "cookie_ignored",
            Self::Preflight => "preflight",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::RefusedDownstream => "refused_downstream",
        }
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    /// Returns what was decided.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the kind of the error, or `None` if there is none.
    #[must_use]
    pub fn kind(&self) -> Option<AuthErrorKind> {
        self.error.map(AuthError::kind)
    }

    /// Returns the [reason code](AuthError::reason) of a refusal or of an ignored cookie, and otherwise the
    /// name of the outcome.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.error.map_or(self.outcome.as_str(), AuthError::reason)
    }

    /// Returns the error of a refusal or of an ignored cookie, or `None` if there is none.
    #[must_use]
    pub const fn error(&self) -> Option<&'a AuthError> {
        self.error
    }

    /// Returns the token that was accepted, or `None` if there is none. A report of
    /// [`RefusedDownstream`](Outcome::RefusedDownstream) never contains the token.
    #[must_use]
    pub const fn token(&self) -> Option<&'a VerifiedToken> {
        self.token
    }

    /// Returns the issuer of the token that was accepted, or `None` if there is no such token or it has no
    /// issuer. The issuer of a refused token is never reported, because anybody can write one.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.token?.issuer()
    }

    /// Returns the kind of the accepted credential, or `None` if none was accepted.
    #[must_use]
    pub fn credential_kind(&self) -> Option<CredentialKind> {
        Some(self.token?.kind())
    }

    /// Returns where the token was: `authorization`, `cookie`, `header`, `websocket_protocol` or `query`, or
    /// `none` if the request carries no token, two tokens or a malformed header.
    #[must_use]
    pub const fn token_source(&self) -> &'static str {
        self.carrier.as_str()
    }

    /// Returns whether the signature of the accepted token was checked for an
    /// [earlier request](VerifiedToken::is_cached), or `None` if no token was accepted.
    #[must_use]
    pub fn is_cached(&self) -> Option<bool> {
        Some(self.token?.is_cached())
    }

    /// Returns whether the layer had to ask a store (of revocations, API keys or used DPoP proofs), a key
    /// server, an authorization server or a resolver of issuers.
    #[must_use]
    pub const fn waited(&self) -> bool {
        self.waited
    }

    /// Returns the time from the request to the decision. For
    /// [`RefusedDownstream`](Outcome::RefusedDownstream), it includes the handler.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }
}

impl fmt::Debug for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("outcome", &self.outcome)
            .field("reason", &self.reason())
            .field("token_source", &self.token_source())
            .field("is_cached", &self.is_cached())
            .field("waited", &self.waited)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

// === impl DecisionHook ===

impl DecisionHook {
    pub(super) fn new(hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Begins a report. Without a hook, it does nothing and does not read the time.
    pub(super) fn begin(&self) -> Option<Report> {
        let hook = Arc::clone(self.0.as_ref()?);
        Some(Report {
            hook,
            begun: Instant::now(),
            carrier: Carrier::None,
            waited: false,
        })
    }
}

impl fmt::Debug for DecisionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "DecisionHook(set)"
        } else {
            "DecisionHook(none)"
        })
    }
}

// === impl Report ===

impl Report {
    pub(super) fn carried_by(&mut self, carrier: Carrier) {
        self.carrier = carrier;
    }

    pub(super) fn has_waited(&mut self) {
        self.waited = true;
    }

    pub(super) fn refused(&self, error: &AuthError) {
        let status = error.status();
        self.tell(
            match status.as_u16() {
                503 => Outcome::Unavailable,
                500.. => Outcome::Failed,
                _ => Outcome::Refused,
            },
            None,
            Some(error),
        );
    }

    /// Calls the hook. A panic in it is caught.
    pub(super) fn tell(
        &self,
        outcome: Outcome,
        token: Option<&VerifiedToken>,
        error: Option<&AuthError>,
    ) {
        let decision = Decision {
            outcome,
            token,
            error,
            carrier: self.carrier,
            waited: self.waited,
            duration: self.begun.elapsed(),
        };
        let told = catch_unwind(AssertUnwindSafe(|| (self.hook)(&decision)));
        #[cfg(feature = "tracing")]
        if told.is_err() {
            tracing::error!(outcome = outcome.as_str(), "the decision hook panicked");
        }
        #[cfg(not(feature = "tracing"))]
        drop(told);
    }
}
