//! [`JwtAuth`]: the service of the layer.

use std::any::{Any, TypeId};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::decide::{Config, Step};
use super::future::{Parked, ResponseFuture};
use super::refusals::RefusalsOnce;
use super::response::{EmptyBody, Responder, ResponseForAuthError, response_for};
use crate::bearer::has_dpop_scheme;
use crate::challenge::{Challenge, Refusals};

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
