//! The response future of the layer: refused, being answered, or waiting for the verdict on the token.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::decide::{Config, conclude};
use super::decision::{Outcome, Report};
use super::possession::{Check, Waiting};
use super::response::{ResponseForAuthError, response_for};
use crate::challenge::Refusals;
use crate::dpop;
use crate::error::AuthError;

pin_project! {
    /// The future that resolves to the response of a [`JwtAuth`](super::JwtAuth).
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, R>
    where
        S: Service<Request<B>>,
    {
        Refused { response: Option<S::Response> },
        Inner { #[pin] future: S::Future, report: Option<Report>, nonce: Option<HeaderValue> },
        Checking { check: Check, parked: Option<Parked<S, B, R>> },
    }
}

/// What waits for the verdict on the token: the service that was polled ready, and its request.
pub(super) struct Parked<S, B, R> {
    pub(super) service: S,
    pub(super) request: Request<B>,
    pub(super) config: Arc<Config>,
    pub(super) respond: R,
    pub(super) refusals: Option<Arc<Refusals>>,
    pub(super) waiting: Waiting,
    pub(super) report: Option<Report>,
}

impl<S: Service<Request<B>>, B, R> ResponseFuture<S, B, R> {
    pub(super) fn refused(response: S::Response) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(super) fn inner(future: S::Future, report: Option<Report>) -> Self {
        Self {
            state: State::Inner {
                future,
                report,
                nonce: None,
            },
        }
    }

    pub(super) fn checking(check: Check, parked: Parked<S, B, R>) -> Self {
        let parked = Some(parked);
        Self {
            state: State::Checking { check, parked },
        }
    }
}

impl<S, B, R, ResBody> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    R: ResponseForAuthError<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Inner {
                    future,
                    report,
                    nonce,
                } => {
                    let mut answer = ready!(future.poll(cx));
                    if let (Some(nonce), Ok(response)) = (nonce.take(), &mut answer) {
                        dpop::add_nonce(response.headers_mut(), nonce);
                    }
                    if let (Ok(response), Some(report)) = (&answer, report.take())
                        && let Some(error) = response.extensions().get::<AuthError>()
                    {
                        report.tell(Outcome::RefusedDownstream, None, Some(error));
                    }
                    return Poll::Ready(answer);
                }
                StateProjection::Refused { response } => {
                    let response = response
                        .take()
                        .expect("invariant: not polled after completion");
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Checking { check, parked } => {
                    let verdict = ready!(check.as_mut().poll(cx));
                    let parked = parked.take().expect("invariant: checked once");
                    let Parked {
                        mut service,
                        mut request,
                        config,
                        respond,
                        refusals,
                        waiting,
                        report,
                    } = parked;
                    let lenient = waiting.lenient_cookie.as_ref();
                    let next = match conclude(verdict, lenient) {
                        Ok(passed) => {
                            if let Some(report) = &report {
                                passed.tell(report);
                            }
                            config.mark(&mut request, passed, refusals);
                            if let Some(used) = waiting.used {
                                request.extensions_mut().insert(used);
                            }
                            State::Inner {
                                future: service.call(request),
                                report,
                                nonce: waiting.nonce,
                            }
                        }
                        Err(error) => {
                            if let Some(report) = &report {
                                report.refused(&error);
                            }
                            let error = error.told_by(refusals.as_ref());
                            State::Refused {
                                response: Some(response_for(&respond, error)),
                            }
                        }
                    };
                    this.state.set(next);
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B, R> fmt::Debug for ResponseFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Inner { .. } => "Inner",
            State::Checking { .. } => "Checking",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
