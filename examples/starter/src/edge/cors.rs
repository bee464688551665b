//! Which other sites may call the API from a browser (`CORS_ORIGINS`).

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, Method};
use tower_http::cors::CorsLayer;
use tower_jwt_auth::dpop::EXPOSED_HEADERS;

use super::request_id::HEADER;
use crate::config::Origin;

/// The proof that a client has the key to which its token is bound.
const PROOF: HeaderName = HeaderName::from_static("dpop");
/// How long a browser may cache the response to a preflight.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Lets pages of exactly these origins call the API with a token, which may be bound to a key of theirs, and never
/// with cookies: `Access-Control-Allow-Credentials` is not sent, and the cookie is only for our own page. Returns
/// `None` if there are no origins.
pub(crate) fn cors(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins: Vec<_> = origins.iter().filter_map(Origin::header).collect();
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let others = [RETRY_AFTER, HEADER];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods)
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, PROOF])
        .expose_headers([&EXPOSED_HEADERS[..], &others].concat())
        .max_age(MAX_AGE);
    Some(layer)
}
