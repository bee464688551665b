//! The service of a guard.

use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::decide::Start;
use super::future::RequireFuture;
use super::require::Require;
use crate::layer::{ResponseForAuthError, SameAsLayer, response_for};

/// Checks a requirement before it calls the inner service; made by [`Require`] as a layer.
#[derive(Clone)]
pub struct RequireService<S, R = SameAsLayer> {
    inner: S,
    require: Require,
    respond: R,
}

// === impl RequireService ===

impl<S, R> RequireService<S, R> {
    pub(super) fn new(inner: S, require: Require, respond: R) -> Self {
        Self {
            inner,
            require,
            respond,
        }
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

impl<S, R, B, ResBody> Service<Request<B>> for RequireService<S, R>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    R: ResponseForAuthError<ResBody> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RequireFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.require.start_in(request.extensions()) {
            Start::Pass => RequireFuture::inner(self.inner.call(request)),
            Start::Refuse(error) => {
                let error = error.in_request(request.headers());
                RequireFuture::refused(response_for(&self.respond, error))
            }
            Start::Wait(checking) => {
                // The service that was polled ready is the one that will be called.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                RequireFuture::checking(checking, ready, request, self.respond.clone())
            }
        }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for RequireService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService")
            .field("inner", &self.inner)
            .field("require", &self.require)
            .finish_non_exhaustive()
    }
}
