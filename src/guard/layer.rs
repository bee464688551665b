//! [`Require`] as a layer, and [`RequireLayer`] for one with responses of its own.

use std::fmt;

use tower_layer::Layer;

use super::require::Require;
use super::service::RequireService;
use crate::layer::SameAsLayer;

/// A [`Require`] whose responses differ from those of the layer in front.
/// [`Require::on_error`] makes it.
#[derive(Clone)]
pub struct RequireLayer<R> {
    require: Require,
    respond: R,
}

impl Require {
    /// Makes the responses to requests that this guard refuses, instead of
    /// [`JwtAuthLayer::on_error`](crate::JwtAuthLayer::on_error).
    ///
    /// It is also for body types that differ from that of the layer in front and have no `Default`.
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
