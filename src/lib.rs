//! JWT bearer authentication for tower, axum and hyper.

mod challenge;
pub mod claims;
pub mod clock;
pub mod error;

mod codec;
mod jti;
pub mod keys;

#[cfg(feature = "password")]
pub mod password;

mod policy;
pub mod revocation;
mod store;

pub mod config;
pub mod dangerous;
pub mod issuer;
pub mod verifier;

mod bearer;
pub mod layer;
mod scope;

#[cfg(feature = "axum")]
mod extract;

pub use bearer::TokenSource;
pub use claims::Claims;
pub use error::{AuthError, ConfigError};
#[cfg(feature = "axum")]
pub use extract::JwtClaims;
pub use issuer::{TokenIssuer, TokenPair};
pub use keys::{SigningKey, VerifyingKey};
pub use layer::JwtAuthLayer;
pub use policy::{DEFAULT_LEEWAY, MAX_LEEWAY};
pub use scope::{RequireScope, RequireScopeFuture, RequireScopeLayer};
pub use store::StoreError;
pub use verifier::{TokenVerifier, VerifiedToken};
