//! [`JwtAuth`]: the service of the layer. A plain function, [`Config::decide`], decides about each request.

use std::any::{Any, TypeId};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method, Request, Response};
use tower_service::Service;

use super::bound::{Held, Proofs, Waiting};
use super::decision::{DecisionHook, Outcome, Report};
use super::future::{Check, Parked, ResponseFuture};
use super::ignored::IgnoredCookie;
use super::judges::Judges;
use super::refusals::RefusalsOnce;
use super::response::{EmptyBody, Responder, ResponseForAuthError, response_for};
use super::tell;
use crate::bearer::{Carrier, Cookies, TokenSource, find_token, has_dpop_scheme};
use crate::challenge::{Challenge, Refusals};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::mtls::ClientCertificates;
use crate::verifier::{CredentialKind, Progress, TokenVerifier, VerifiedToken};

/// Verifies the token of each request before it calls the inner service; made by
/// [`JwtAuthLayer`](crate::JwtAuthLayer).
#[derive(Clone)]
pub struct JwtAuth<S, R = EmptyBody> {
    inner: S,
    config: Arc<Config>,
    respond: R,
    /// Shared by all clones: a router may clone the service for each request.
    refusals: Arc<RefusalsOnce>,
}

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
    /// Requests without a token pass, those with a bad token do not.
    Optional,
    /// As `Optional`, but a bad cookie is ignored.
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
    fn decide<B>(&self, request: &Request<B>, report: Option<&mut Report>) -> Step {
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
            (Progress::Done(Ok(verified)), Some(proof)) => {
                proof.spend_after(Progress::Done(Ok(verified)), request)
            }
            (Progress::Wait(check), Some(proof)) => {
                proof.spend_after(Progress::Wait(check), request)
            }
            (Progress::Wait(check), None) => Step::Wait(check, Waiting::for_token(lenient)),
            (Progress::Done(verdict), _) => match conclude(verdict, lenient) {
                Ok(passed) => Step::Pass(passed),
                Err(error) => Step::Refuse(error),
            },
        }
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

// === impl JwtAuth ===

impl<S, R> JwtAuth<S, R> {
    pub(super) fn new(inner: S, config: Arc<Config>, respond: R) -> Self {
        Self {
            inner,
            config,
            respond,
            refusals: Arc::default(),
        }
    }

    /// Returns how this layer and everything behind it refuse a request with these headers, or `None` for the
    /// default way.
    fn refusals<B: 'static>(&self, headers: &HeaderMap) -> Option<Arc<Refusals>>
    where
        R: ResponseForAuthError<B> + Clone + Send + Sync + 'static,
    {
        let uses_dpop = self.config.dpop.is_some() && has_dpop_scheme(headers);
        self.refusals.for_request(headers, uses_dpop, || {
            let with_body = TypeId::of::<R>() != TypeId::of::<EmptyBody>();
            let challenge = self.config.challenge.clone();
            (with_body || challenge != Challenge::default()).then(|| {
                let responder = with_body.then(|| {
                    let responder: Responder<B> = Arc::new(self.respond.clone());
                    Arc::new(responder) as Arc<dyn Any + Send + Sync>
                });
                Refusals {
                    challenge,
                    responder,
                    grpc: None,
                }
            })
        })
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes this service and returns the inner one.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, B, ResBody> Service<Request<B>> for JwtAuth<S, R>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    R: ResponseForAuthError<ResBody> + Clone + Send + Sync + 'static,
    ResBody: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let refusals = self.refusals(request.headers());
        let mut report = self.config.on_decision.begin();
        match self.config.decide(&request, report.as_mut()) {
            Step::Pass(passed) => {
                if let Some(report) = &report {
                    passed.tell(report);
                }
                self.config.mark(&mut request, passed, refusals);
                ResponseFuture::inner(self.inner.call(request), report)
            }
            Step::Refuse(error) => {
                if let Some(report) = &report {
                    report.refused(&error);
                }
                let error = error.told_by(refusals.as_ref());
                ResponseFuture::refused(response_for(&self.respond, error))
            }
            Step::Wait(check, waiting) => {
                // The service that was polled ready is the one that will be called.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let (config, respond) = (Arc::clone(&self.config), self.respond.clone());
                if let Some(report) = &mut report {
                    report.has_waited();
                }
                let parked = Parked {
                    service: ready,
                    request,
                    config,
                    respond,
                    refusals,
                    waiting,
                    report,
                };
                ResponseFuture::checking(check, parked)
            }
        }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for JwtAuth<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
