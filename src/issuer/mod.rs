//! [`TokenIssuer`]: issues tokens and revokes them.

mod builder;
mod error;
mod keys;
mod pair;
mod published;
mod request;
pub(crate) mod service;

pub use builder::TokenIssuerBuilder;
pub use error::IssueError;
pub use keys::IssuerKeys;
pub(crate) use pair::token_type_of;
pub use pair::{AccessTokenResponse, PairRequest, TokenPair};
pub use request::TokenRequest;
pub(crate) use request::check_ttl;
pub(crate) use service::TokenIssuer;
pub use service::{DEFAULT_ACCESS_TTL, DEFAULT_REFRESH_TTL, REVOCATION_TIMEOUT};

use service::{Inner, MAX_TTL};
