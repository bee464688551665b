//! The inner middleware: checks before a handler sees a request, and limits on what a handler may do.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::timeout;
use tower_http::timeout::TimeoutBody;

use super::host;
use crate::app::App;
use crate::limits::limited_route;
use crate::problem::{self, Problem};
use crate::sessions::NewerNonce;

/// The size limit of a body, in bytes. No request needs nearly as much, except for avatars, which have their own limit.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a client may pause while it sends a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a handler may take. If a database stops answering, the response is a 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses what no handler should see, and turns panics, timeouts and errors of axum into problem
/// documents.
pub(crate) async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let handled = AssertUnwindSafe(handle(&app, request, next)).catch_unwind();
    let response = match timeout(REQUEST_TIMEOUT, handled).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged it. The connection stays open.
        Ok(Err(_)) => Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
        Err(_) => Problem::of_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
    };
    uncached(problem::for_every_error(response))
}

async fn handle(app: &App, mut request: Request, next: Next) -> Response {
    let parts = app.parts();
    if !host::is_good(request.headers(), request.version()) {
        return host::refused().into_response();
    }
    let client = parts.proxies.client(&request);
    request.extensions_mut().insert(client);
    if let Some(limit) = &parts.rate_limit
        && let Some(route) = limited_route(&request)
        && let Err(problem) = limit.admit(&route, client).await
    {
        return problem.into_response();
    }
    DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
    if !request.body().is_end_stream() {
        request = request.map(|body| Body::new(TimeoutBody::new(BODY_TIMEOUT, body)));
    }
    let nonce = NewerNonce::expect(&mut request);
    let mut response = next.run(request).await;
    if let Some(nonce) = nonce {
        nonce.add_to(response.headers_mut());
    }
    response
}

/// Forbids caching of tokens and accounts (RFC 6749 section 5.1), unless a handler decides otherwise.
fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }
    response
}
