//! [`JwtAuthLayer`](crate::JwtAuthLayer): the middleware that verifies the token of each request.

mod bound_tokens;
mod decide;
mod decision;
mod future;
mod grpc;
mod ignored;
mod judges;
#[allow(clippy::module_inception)]
pub(crate) mod layer;
mod possession;
mod refusals;
mod response;
mod service;
mod tell;

pub use crate::bearer::TokenSource;
pub use crate::challenge::DEFAULT_REALM;
pub use decision::{Decision, Outcome};
pub use future::ResponseFuture;
pub use grpc::{GrpcStatus, GrpcStatusOr};
pub use ignored::IgnoredCookie;
pub use response::{
    EmptyBody, ProblemJson, ResponseForAuthError, SameAsLayer, error_response, response_for,
};

pub use service::JwtAuth;

pub(crate) use decide::Seen;
pub(crate) use response::retry_after;
