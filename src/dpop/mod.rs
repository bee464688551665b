//! DPoP (RFC 9449): tokens that are worthless without the private key of their client.
//!
//! A client makes a key pair, keeps the private key, and signs a small proof for each request. A token that
//! is bound to the key (`cnf.jkt`) is accepted only with such a proof, so a thief who has only the token
//! cannot use it.
//!
//! [`Dpop`] checks proofs. Give it to a [`JwtAuthLayer`](crate::JwtAuthLayer::dpop) to protect resources. Use
//! it also in the routes for login and refresh, where a [`DpopProof`] binds the issued tokens to the key:
//! [`OpenSession::dpop`](crate::sessions::OpenSession::dpop),
//! [`RefreshSession::dpop`](crate::sessions::RefreshSession::dpop) and
//! [`TokenRequest::dpop`](crate::issuer::TokenRequest::dpop). The guide shows [how to combine
//! these](crate::guide::bound_tokens).

mod builder;
mod check;
mod error;
mod htu;
mod known;
mod nonce;
mod proof;
mod service;

#[cfg(feature = "postgres")]
pub use crate::replay::PostgresReplays;
#[cfg(feature = "redis")]
pub use crate::replay::RedisReplays;
#[cfg(feature = "sqlite")]
pub use crate::replay::SqliteReplays;
pub use crate::replay::{DEFAULT_MEMORY_REPLAYS, MemoryReplays, ReplayEntry, ReplayStore};
pub use builder::{
    DEFAULT_PROOF_ALGORITHMS, DEFAULT_PROOF_LEEWAY, DEFAULT_PROOF_MAX_AGE,
    DEFAULT_REPLAY_STORE_TIMEOUT, DpopBuilder, MAX_PROOF_AGE,
};
pub(crate) use check::{CheckedProof, UsedProof};
pub use error::{DpopError, DpopErrorKind};
pub use nonce::{DEFAULT_NONCE_PERIOD, DpopNonces};
pub use proof::DpopProof;
pub use service::Dpop;

use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that contains a proof.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header that contains a nonce for the next proofs of the client.
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The response headers that a page on another origin must be allowed to read (RFC 9449 section 8.2). Give
/// them to the CORS layer, for example by `CorsLayer::expose_headers` of `tower-http`.
///
/// Responses to which this crate adds one of them also say so in `Access-Control-Expose-Headers`. A CORS
/// layer that sets this header itself replaces it.
pub const EXPOSED_HEADERS: [HeaderName; 2] = [DPOP_NONCE, WWW_AUTHENTICATE];

/// Adds the nonce to a response, and allows pages on other origins to read it.
pub(crate) fn add_nonce(headers: &mut HeaderMap, nonce: HeaderValue) {
    headers.insert(DPOP_NONCE, nonce);
    expose(headers);
}

/// Allows pages on other origins to read the headers of DPoP.
pub(crate) fn expose(headers: &mut HeaderMap) {
    const NAMES: HeaderValue = HeaderValue::from_static("DPoP-Nonce, WWW-Authenticate");
    let is_there = headers
        .get_all(ACCESS_CONTROL_EXPOSE_HEADERS)
        .iter()
        .any(|value| value == NAMES);
    if !is_there {
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, NAMES);
    }
}
