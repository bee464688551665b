//! What browsers are told to be careful with.

use axum::Router;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::Origin;

/// For all that is no page: a browser that shows it does nothing with it, and nobody frames it.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Two years, as the preload list asks for; the subdomains are not ours to decide on.
const STAY_ON_HTTPS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Adds the headers; a page has a `Content-Security-Policy` of its own already.
pub(super) fn add(routes: Router, public_url: Option<&Origin>) -> Router {
    let fixed =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let same_origin = "same-origin";
    let mut routes = routes
        .layer(SetResponseHeaderLayer::if_not_present(
            CONTENT_SECURITY_POLICY,
            NOTHING,
        ))
        .layer(fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(REFERRER_POLICY, "no-referrer"))
        .layer(fixed(
            HeaderName::from_static("cross-origin-opener-policy"),
            same_origin,
        ))
        .layer(fixed(
            HeaderName::from_static("cross-origin-resource-policy"),
            same_origin,
        ));
    if public_url.is_some_and(Origin::is_https) {
        routes = routes.layer(SetResponseHeaderLayer::if_not_present(
            STRICT_TRANSPORT_SECURITY,
            STAY_ON_HTTPS,
        ));
    }
    routes
}
