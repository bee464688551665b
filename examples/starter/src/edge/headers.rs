//! What browsers are told to be careful with.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Origin;

/// The headers of every response that has none of its own. The policy is for all that is not a page: a
/// browser that shows it does nothing with it, and nobody frames it.
const FIXED: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];
/// Two years, as the preload list asks for. Subdomains are not this service's to decide on.
const STAY_ON_HTTPS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Adds the headers that are not there yet.
pub(super) fn add(headers: &mut HeaderMap, public_url: Option<&Origin>) {
    for (name, value) in FIXED {
        let value = HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
    if public_url.is_some_and(Origin::is_https) {
        headers
            .entry(STRICT_TRANSPORT_SECURITY)
            .or_insert(STAY_ON_HTTPS);
    }
}
