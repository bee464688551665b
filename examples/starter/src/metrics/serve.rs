//! `GET /metrics`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;
use crate::app::App;
use crate::app::serve_for_ever;
use crate::config::MetricsPlace;
use crate::error::Error;
use crate::problem::Problem;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the route `/metrics`.
pub(crate) fn routes(metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(metrics)
}

/// Returns the current values.
async fn show(State(metrics): State<Metrics>) -> Result<impl IntoResponse, Problem> {
    let text = metrics.text().map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text))
}

/// Serves the metrics at a separate address if the settings name one, and returns that address.
///
/// They are served until the program ends, so that they also show the service shutting down.
///
/// # Errors
///
/// Fails if it cannot listen there.
pub async fn serve_metrics(place: &MetricsPlace, app: &App) -> Result<Option<SocketAddr>, Error> {
    let MetricsPlace::At(address) = place else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("METRICS_ADDR: cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "metrics");
    let routes = routes(app.parts().metrics.clone());
    tokio::spawn(serve_for_ever(listener, routes));
    Ok(Some(address))
}
