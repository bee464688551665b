//! [`Config`]: the settings of the layer, and the plain function that decides about each request by them,
//! [`Config::decide`].

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};

use super::decision::{DecisionHook, Outcome, Report};
use super::ignored::IgnoredCookie;
use super::judges::Judges;
use super::possession::{Check, Held, ProofInUse, Proofs, Waiting};
use super::tell;
use crate::bearer::{Carrier, Cookies, Credential, TokenSource, find_token};
use crate::challenge::{Challenge, Refusals, Scheme};
use crate::dpop::Dpop;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::mtls::ClientCertificates;
use crate::verifier::{CredentialKind, Progress, TokenVerifier, VerifiedToken};

/// The settings of the layer.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) judges: Judges,
    pub(super) token: Token,
    pub(super) sources: Vec<TokenSource>,
    pub(super) challenge: Challenge,
    pub(super) dpop: Option<Proofs>,
    pub(super) certificates: Option<ClientCertificates>,
    pub(super) allow_preflight: bool,
    pub(super) on_decision: DecisionHook,
}

/// How to treat a request without a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Required,
    /// Requests without a token pass. Those with a bad token do not.
    Optional,
    /// Like `Optional`, but a bad cookie is ignored.
    OptionalWithLenientCookies,
}

/// What is added to the extensions of a request that passes.
#[derive(Default)]
pub(super) struct Passed {
    verified: Option<VerifiedToken>,
    ignored: Option<IgnoredCookie>,
    is_preflight: bool,
}

/// Marks a request that a layer has let through without a token, in its extensions, so that extractors and
/// guards can tell it from a request that no layer has seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) refusals: Option<Arc<Refusals>>,
}

// === impl Config ===

impl Config {
    pub(super) fn new(verifier: Option<TokenVerifier>) -> Self {
        Self {
            judges: Judges::new(verifier),
            token: Token::Required,
            sources: Vec::new(),
            challenge: Challenge::default(),
            dpop: None,
            certificates: None,
            allow_preflight: false,
            on_decision: DecisionHook::default(),
        }
    }

    /// Decides as far as possible without waiting.
    pub(super) fn decide<B>(&self, request: &Request<B>, report: Option<&mut Report>) -> Step {
        if self.allow_preflight && is_preflight(request) {
            return Step::Pass(Passed::as_preflight());
        }
        let cookies = match self.token {
            Token::OptionalWithLenientCookies => Cookies::BadOnesCountAsNone,
            Token::Required | Token::Optional => Cookies::AreStrict,
        };
        let takes_dpop = self.dpop.is_some();
        let found = match find_token(request, &self.sources, cookies, takes_dpop) {
            Ok(found) => found,
            Err(error) => return Step::Refuse(error),
        };
        if let Some(report) = report {
            report.carried_by(match (&found.token, &found.bad_cookie) {
                (Some(credential), _) => credential.carrier,
                (None, Some(_)) => Carrier::Cookie,
                (None, None) => Carrier::None,
            });
        }
        if let Some((cookie, error)) = found.bad_cookie {
            return Step::Pass(Passed::ignoring(&cookie.name, error));
        }
        let Some(credential) = found.token else {
            if self.token != Token::Required {
                return Step::Pass(Passed::default());
            }
            let missing = AuthError::new(AuthErrorKind::MissingToken);
            return Step::Refuse(match found.hint {
                Some(hint) => missing.because(hint),
                None => missing,
            });
        };
        let lenient = credential
            .cookie
            .filter(|_| cookies == Cookies::BadOnesCountAsNone)
            .map(|cookie| &cookie.name);
        let Held { possession, proof } = match self.held(request, &credential) {
            Ok(held) => held,
            Err(error) => return Step::Refuse(error),
        };
        // A proof was made for this request, so its token is not a leftover cookie to be ignored.
        let lenient = lenient.filter(|_| proof.is_none());
        let judges = &self.judges;
        let progress = judges.start(credential.token, credential.source, &possession);
        match (progress, proof) {
            (progress @ (Progress::Done(Ok(_)) | Progress::Wait(_)), Some(proof)) => {
                let (check, waiting) = proof.spend_after(progress, request);
                Step::Wait(check, waiting)
            }
            (Progress::Wait(check), None) => Step::Wait(check, Waiting::for_token(lenient)),
            (Progress::Done(verdict), _) => match conclude(verdict, lenient) {
                Ok(passed) => Step::Pass(passed),
                Err(error) => Step::Refuse(error),
            },
        }
    }

    /// Checks the proof or the certificate that a request has besides its token, if the layer is configured
    /// to.
    fn held<B>(
        &self,
        request: &Request<B>,
        credential: &Credential<'_, '_>,
    ) -> Result<Held, AuthError> {
        let mut held = Held::default();
        let (possession, headers) = (&mut held.possession, request.headers());
        if let Some(certificates) = &self.certificates {
            possession.certificate = certificates.find(headers, request.extensions());
            possession.needs_certificate = certificates.is_required();
        }
        let Some(Proofs { dpop, is_required }) = &self.dpop else {
            return Ok(held);
        };
        possession.needs_key = *is_required;
        // A source other than the `Authorization` header has no scheme: DPoP is used if there is a proof.
        let is_used = credential.scheme == Scheme::Dpop
            || (credential.source.is_some() && Dpop::has_proof(headers));
        if is_used {
            let token = Some(credential.token);
            let checked = dpop.check(request.method(), request.uri(), headers, token)?;
            possession.key = Some(checked.thumbprint());
            let dpop = dpop.clone();
            held.proof = Some(ProofInUse { dpop, checked });
        }
        Ok(held)
    }

    /// Adds the result to the extensions of the request, for everything behind the layer.
    pub(super) fn mark<B>(
        &self,
        request: &mut Request<B>,
        passed: Passed,
        refusals: Option<Arc<Refusals>>,
    ) {
        let extensions = request.extensions_mut();
        // The result of an outer layer must not be mistaken for that of this layer.
        if self.token == Token::OptionalWithLenientCookies {
            extensions.remove::<IgnoredCookie>();
        }
        if let Some(verified) = passed.verified {
            extensions.remove::<Seen>();
            extensions.insert(verified.behind(refusals));
        } else {
            extensions.remove::<VerifiedToken>();
            extensions.insert(Seen { refusals });
        }
        if let Some(ignored) = passed.ignored {
            extensions.insert(ignored);
        }
    }
}

/// What to do with a request next.
pub(super) enum Step {
    Pass(Passed),
    Refuse(AuthError),
    Wait(Check, Waiting),
}

/// Applies the verdict on a token. A bad token in the cookie `lenient` is ignored. But if the token cannot be
/// judged now, the request is refused with 503 as usual: an outage must not look like a logout.
pub(super) fn conclude(
    verdict: Result<VerifiedToken, AuthError>,
    lenient: Option<&Arc<str>>,
) -> Result<Passed, AuthError> {
    match (verdict.and_then(not_a_logout), lenient) {
        (Ok(verified), _) => Ok(Passed {
            verified: Some(verified),
            ..Passed::default()
        }),
        (Err(error), Some(cookie)) if error.status().is_client_error() => {
            Ok(Passed::ignoring(cookie, error))
        }
        (Err(error), _) => Err(error),
    }
}

/// Refuses a logout token even if the verifier accepts it, because it does not authenticate anybody.
fn not_a_logout(verified: VerifiedToken) -> Result<VerifiedToken, AuthError> {
    if verified.kind() == CredentialKind::LogoutToken {
        return Err(AuthError::new(AuthErrorKind::WrongType).because(&Reason {
            code: "logout_token_as_credential",
            message: "a logout token is not a credential: give `JwtAuthLayer` a verifier of access tokens, and \
                      `BackchannelLogout` the verifier of logout tokens",
        }));
    }
    Ok(verified)
}

// === impl Passed ===

impl Passed {
    fn ignoring(cookie: &Arc<str>, error: AuthError) -> Self {
        tell::ignored_cookie(&error);
        Self {
            ignored: Some(IgnoredCookie::new(Arc::clone(cookie), error)),
            ..Self::default()
        }
    }

    fn as_preflight() -> Self {
        Self {
            is_preflight: true,
            ..Self::default()
        }
    }

    pub(super) fn tell(&self, report: &Report) {
        let token = self.verified.as_ref();
        let error = self.ignored.as_ref().map(IgnoredCookie::error);
        let outcome = match (token, error) {
            (Some(_), _) => Outcome::Accepted,
            (None, Some(_)) => Outcome::CookieIgnored,
            (None, None) if self.is_preflight => Outcome::Preflight,
            (None, None) => Outcome::Anonymous,
        };
        report.tell(outcome, token, error);
    }
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
