//! The page at `/`: plain HTML, CSS and JavaScript in `assets/`, built into the program.
//!
//! It uses the API like any other client. To remove it: `./chapters remove page` (see `docs/removing.md`).

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::SERVICE;

/// Allows only our own scripts, styles and requests, so that injected scripts do not run. `blob:` is for
/// avatars, which are loaded with a token.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'",
);

/// The placeholder for the name of the service in the files.
const NAME: &str = "{{service}}";
/// The placeholder for the address that the page names in its proofs. The address is empty if the page should make
/// no proofs.
const ADDRESS: &str = "{{dpop}}";

const FILES: &[(&str, &str, &str)] = &[
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("../../assets/index.html"),
    ),
    (
        "/assets/style.css",
        "text/css; charset=utf-8",
        include_str!("../../assets/style.css"),
    ),
    (
        "/assets/app.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/app.js"),
    ),
    (
        "/assets/settings.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/settings.js"),
    ),
    (
        "/assets/dpop.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/dpop.js"),
    ),
    // chapter: passkeys {
    (
        "/assets/passkeys.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/passkeys.js"),
    ),
    // chapter: passkeys }
    (
        "/assets/account.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/account.js"),
    ),
    // chapter: api-keys {
    (
        "/assets/api-keys.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/api-keys.js"),
    ),
    // chapter: api-keys }
    // chapter: social-login {
    (
        "/assets/social-login.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/social-login.js"),
    ),
    // chapter: social-login }
    (
        "/assets/icon.svg",
        "image/svg+xml",
        include_str!("../../assets/icon.svg"),
    ),
];

/// Serves the files. Browsers ask for them each time, so that nobody runs an old script after an update. `address`
/// is what the page names in its proofs: the configured address of the service, because the page may be open at
/// another name of this machine.
pub(crate) fn routes(address: Option<&str>) -> Router {
    let routes = FILES
        .iter()
        .fold(Router::new(), |routes, &(path, kind, text)| {
            let text = text.replace(NAME, SERVICE);
            let text = Bytes::from(text.replace(ADDRESS, address.unwrap_or_default()));
            let file = move || async move { ([(CONTENT_TYPE, kind)], text) };
            routes.route(path, get(file))
        });
    let headers = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            POLICY,
        ))
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ));
    routes.layer(headers)
}
