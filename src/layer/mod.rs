//! [`JwtAuthLayer`]: lets requests with a good token through, and tells what follows whose it is.

mod future;
#[allow(clippy::module_inception)]
mod layer;
mod response;
mod service;

pub use crate::challenge::DEFAULT_REALM;
pub use future::ResponseFuture;
pub use layer::JwtAuthLayer;
pub use response::{EmptyBody, ProblemJson, ResponseForAuthError, response_for};
pub use service::JwtAuth;

#[cfg(feature = "axum")]
pub(crate) use response::retry_after;
pub(crate) use service::Seen;
