//! The page at `/`: a few files that are part of the program.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use tower_http::set_header::SetResponseHeaderLayer;

/// Its own script, style and requests, and nothing else; a script that somebody smuggles in is not run.
/// `blob:` is a picture that came with a token.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'",
);

const FILES: [(&str, &str, &str); 5] = [
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
        "/assets/icon.svg",
        "image/svg+xml",
        include_str!("../../assets/icon.svg"),
    ),
];

/// The files, asked for anew each time: after an update nobody runs an old script.
pub(crate) fn routes() -> Router {
    let routes = FILES
        .into_iter()
        .fold(Router::new(), |routes, (path, kind, text)| {
            routes.route(
                path,
                get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
            )
        });
    routes
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            POLICY,
        ))
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
}
