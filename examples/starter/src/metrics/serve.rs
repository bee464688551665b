//! `GET /metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;
use crate::app::App;
use crate::app::serve_for_ever;
use crate::problem::Problem;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the route `/metrics`.
pub(crate) fn routes(metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(metrics)
}

/// What was counted so far.
async fn show(State(metrics): State<Metrics>) -> Result<impl IntoResponse, Problem> {
    let text = metrics.text().map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text))
}

/// Serves the metrics, and nothing else, at an address of their own; until it is dropped.
pub async fn serve_metrics(listener: TcpListener, app: &App) {
    serve_for_ever(listener, routes(app.parts().metrics.clone())).await;
}
