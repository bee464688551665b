//! The outermost middleware: logs and counts every request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span};

use super::headers;
use super::request_id::{self, RequestId};
use crate::app::App;

/// Gives the request an id and a span, and counts and logs its response. It also adds the security headers,
/// so that each response has them, whoever made it.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    answer(&app, request, |request| next.run(request)).await
}

/// Does what [`observe`] and [`protect`](super::protect) do, in one middleware: axum boxes and clones each one
/// for each request.
pub(crate) async fn observe_and_protect(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let protect = |request| super::protect(State(app.clone()), request, next);
    answer(&app, request, protect).await
}

async fn answer<F: Future<Output = Response>>(
    app: &App,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let parts = app.parts();
    let id = RequestId::of(&request);
    let span = span(&request, &id);
    let counted = parts.metrics.count(&request); // chapter: metrics
    let start = Instant::now();
    let observed = async move {
        let mut response = next(request).await;
        headers::add(response.headers_mut(), parts.operations.public_url.as_ref());
        counted.answered(&response); // chapter: metrics
        let (status, took) = (response.status().as_u16(), start.elapsed());
        tracing::info!(status, milliseconds = took.as_millis(), "answered");
        response
    };
    let mut response = observed.instrument(span).await;
    if let Some(id) = id.into_header() {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    response
}

/// Returns the span of a request. It contains the template of the route, without the ids of users and
/// sessions, and no headers, bodies or queries, which may contain secrets.
fn span(request: &Request, id: &RequestId) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    tracing::info_span!(
        "request",
        id = id.as_str(),
        method = %request.method(),
        path = route.map_or(request.uri().path(), MatchedPath::as_str),
    )
}
