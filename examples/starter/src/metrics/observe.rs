//! The layer that counts requests.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tower_jwt_auth::AuthError;

use super::labels::{Answer, Route};
use super::{Metrics, Ongoing};

/// Counts the request and its answer.
pub(crate) async fn observe(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let _ongoing = Ongoing::new(&metrics.in_flight);
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let start = Instant::now();
    let response = next.run(request).await;

    let labels = Route { method, route };
    let took = start.elapsed().as_secs_f64();
    metrics.durations.get_or_create(&labels).observe(took);
    let labels = Answer {
        method,
        route: labels.route,
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    if let Some(error) = response.extensions().get::<AuthError>() {
        metrics.refused(error.kind());
    }
    response
}

/// A client may invent methods; each would be a time series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
