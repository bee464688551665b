//! The contenders of the comparison, and the tokens that all of them are given.

mod contenders;
mod tokens;

pub use contenders::{
    Contender, OURS, OURS_FORGETS, ROUTER, SIGNATURE, all, bare_router, ours, routed,
};
pub use tokens::{AUDIENCE, Case, ISSUER, Tokens};

/// The algorithms that are compared.
pub const ALGORITHMS: [tower_jwt_auth::Algorithm; 4] = {
    use tower_jwt_auth::Algorithm::{ES256, EdDSA, HS256, RS256};
    [HS256, RS256, ES256, EdDSA]
};

/// The claims that every contender passes to its handler.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct User {
    pub sub: String,
    pub email: String,
    pub tenant: u32,
    pub scope: String,
}
