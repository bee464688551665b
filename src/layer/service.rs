//! The service: each request is decided by [`Config::decide`], a plain function.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::response::{ResponseForAuthError, response_for};
use crate::bearer::{TokenSource, find_token};
use crate::challenge::Challenge;
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::{Progress, TokenVerifier, VerifiedToken};

/// The service that [`JwtAuthLayer`](super::JwtAuthLayer) makes.
#[derive(Clone)]
pub struct JwtAuth<S, R = super::EmptyBody> {
    inner: S,
    config: Arc<Config>,
    respond: R,
}

/// What the layer was told.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) verifier: TokenVerifier,
    pub(super) optional: bool,
    pub(super) sources: Vec<TokenSource>,
    pub(super) challenge: Arc<Challenge>,
    pub(super) allow_preflight: bool,
}

/// Stands in the extensions of a request that a layer has let through, where an extractor or
/// scope layer further in needs to know: there is no token, or the challenge says more than
/// the default.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) challenge: Arc<Challenge>,
}

// === impl Config ===

impl Config {
    pub(super) fn new(verifier: TokenVerifier) -> Self {
        Self {
            verifier,
            optional: false,
            sources: Vec::new(),
            challenge: Arc::default(),
            allow_preflight: false,
        }
    }

    /// How far a request comes without waiting; no token, where that is allowed, is `None`.
    fn decide<B>(&self, request: &Request<B>) -> Decision {
        if self.allow_preflight && is_preflight(request) {
            return Decision::Pass(None);
        }
        match find_token(request, &self.sources) {
            Ok(Some(token)) => match self.verifier.start(token) {
                Progress::Done(Ok(verified)) => Decision::Pass(Some(verified)),
                Progress::Done(Err(error)) => Decision::Refuse(error),
                Progress::Wait(check) => Decision::Wait(check),
            },
            Ok(None) if self.optional => Decision::Pass(None),
            Ok(None) => Decision::Refuse(AuthErrorKind::MissingToken.into()),
            Err(error) => Decision::Refuse(error),
        }
    }

    /// Tells what follows what was found.
    pub(super) fn mark<B>(&self, request: &mut Request<B>, verified: Option<VerifiedToken>) {
        // What a layer further out has found is not what this one was asked for.
        request.extensions_mut().remove::<Seen>();
        request.extensions_mut().remove::<VerifiedToken>();
        if verified.is_none() || *self.challenge != Challenge::default() {
            let challenge = Arc::clone(&self.challenge);
            request.extensions_mut().insert(Seen { challenge });
        }
        if let Some(verified) = verified {
            request.extensions_mut().insert(verified);
        }
    }

    pub(super) fn refuse<B, R>(&self, respond: &R, error: AuthError) -> Response<B>
    where
        R: ResponseForAuthError<B>,
    {
        response_for(respond, error.told_by(&self.challenge))
    }
}

enum Decision {
    Pass(Option<VerifiedToken>),
    Refuse(AuthError),
    Wait(super::future::Check),
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
        }
    }

    /// The service behind.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service behind, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service behind, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, B, ResBody> Service<Request<B>> for JwtAuth<S, R>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    R: ResponseForAuthError<ResBody> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.config.decide(&request) {
            Decision::Pass(verified) => {
                self.config.mark(&mut request, verified);
                ResponseFuture::inner(self.inner.call(request))
            }
            Decision::Refuse(error) => {
                ResponseFuture::refused(self.config.refuse(&self.respond, error))
            }
            Decision::Wait(check) => {
                // The service that was polled ready is the one that will be called.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let (config, respond) = (Arc::clone(&self.config), self.respond.clone());
                ResponseFuture::checking(check, ready, request, config, respond)
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
