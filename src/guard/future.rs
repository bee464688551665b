//! The response future of a guard: refused, being answered, or waiting for a predicate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::check::Checking;
use crate::layer::{ResponseForAuthError, response_for};

pin_project! {
    /// The response future of [`RequireService`](super::RequireService).
    pub struct RequireFuture<S, B, R>
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
        Inner { #[pin] future: S::Future },
        Checking { checking: Checking, parked: Option<Parked<S, B, R>> },
    }
}

/// What waits for the verdict: the service that was polled ready, and its request.
struct Parked<S, B, R> {
    service: S,
    request: Request<B>,
    respond: R,
}

impl<S: Service<Request<B>>, B, R> RequireFuture<S, B, R> {
    pub(super) fn refused(response: S::Response) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }

    pub(super) fn inner(future: S::Future) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    pub(super) fn checking(
        checking: Checking,
        service: S,
        request: Request<B>,
        respond: R,
    ) -> Self {
        let parked = Some(Parked {
            service,
            request,
            respond,
        });
        Self {
            state: State::Checking { checking, parked },
        }
    }
}

impl<S, B, R, ResBody> Future for RequireFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    R: ResponseForAuthError<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Inner { future } => return future.poll(cx),
                StateProjection::Refused { response } => {
                    let response = response
                        .take()
                        .expect("invariant: not polled after completion");
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Checking { checking, parked } => {
                    let verdict = ready!(Pin::new(checking).poll(cx));
                    let mut parked = parked.take().expect("invariant: checked once");
                    let next = match verdict {
                        Ok(()) => State::Inner {
                            future: parked.service.call(parked.request),
                        },
                        Err(error) => {
                            let error = error.in_request(parked.request.headers());
                            State::Refused {
                                response: Some(response_for(&parked.respond, error)),
                            }
                        }
                    };
                    this.state.set(next);
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B, R> fmt::Debug for RequireFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Inner { .. } => "Inner",
            State::Checking { .. } => "Checking",
        };
        f.debug_tuple("RequireFuture").field(&state).finish()
    }
}
