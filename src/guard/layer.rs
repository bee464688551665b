//! [`Require`] as a layer, and [`RequireLayer`] for one with its own responses.

use std::fmt;

use tower_layer::Layer;

use super::require::Require;
use super::service::RequireService;
use crate::layer::SameAsLayer;

/// A [`Require`] with its own responses instead of those of the layer in front; made by
/// [`Require::on_error`].
#[derive(Clone)]
pub struct RequireLayer<R> {
    require: Require,
    respond: R,
}

impl Require {
    /// Sets what makes the responses to requests that this guard refuses, instead of
    /// [`JwtAuthLayer::on_error`](crate::JwtAuthLayer::on_error).
    ///
    /// It is also needed if the body type differs from that of the layer in front and does not implement
    /// `Default`.
    #[must_use]
    pub fn on_error<R>(self, respond: R) -> RequireLayer<R> {
        RequireLayer {
            require: self,
            respond,
        }
    }
}

impl<S> Layer<S> for Require {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::new(inner, self.clone(), SameAsLayer)
    }
}

impl<S, R: Clone> Layer<S> for RequireLayer<R> {
    type Service = RequireService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::new(inner, self.require.clone(), self.respond.clone())
    }
}

impl<R> fmt::Debug for RequireLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireLayer").field(&self.require).finish()
    }
}
