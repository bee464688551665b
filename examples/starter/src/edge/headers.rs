//! The security headers of responses.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Origin;

/// The headers of every response that does not set them itself. This policy is for responses that are not
/// pages: a browser that shows one runs nothing in it, and no page can frame it.
const FIXED: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];
/// Two years, as the HSTS preload list recommends. Subdomains are not included, because this service cannot decide
/// for them.
const STAY_ON_HTTPS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Adds the headers that are missing.
pub(super) fn add(headers: &mut HeaderMap, public_url: Option<&Origin>) {
    for (name, value) in FIXED {
        headers.entry(name).or_insert(value);
    }
    if public_url.is_some_and(Origin::is_https) {
        headers
            .entry(STRICT_TRANSPORT_SECURITY)
            .or_insert(STAY_ON_HTTPS);
    }
}
