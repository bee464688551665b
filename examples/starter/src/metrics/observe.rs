//! Counts requests.

use std::time::Instant;

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use tower_jwt_auth::AuthError;

use super::labels::{Answer, Route, Template};
use super::{Metrics, Ongoing};

/// A request that is being answered, until this is dropped.
pub(crate) struct Counted {
    metrics: Metrics,
    labels: Route,
    start: Instant,
    _ongoing: Ongoing,
}

// === impl Metrics ===

impl Metrics {
    /// Begins to count a request.
    pub(crate) fn count(&self, request: &Request) -> Counted {
        Counted {
            labels: Route {
                method: known(request.method()),
                route: Template(request.extensions().get().cloned()),
            },
            start: Instant::now(),
            _ongoing: Ongoing::new(&self.0.in_flight),
            metrics: self.clone(),
        }
    }
}

// === impl Counted ===

impl Counted {
    /// Counts the response.
    pub(crate) fn answered(self, response: &Response) {
        let Metrics(all) = &self.metrics;
        let took = self.start.elapsed().as_secs_f64();
        all.durations.get_or_create(&self.labels).observe(took);
        let labels = Answer {
            method: self.labels.method,
            route: self.labels.route,
            status: response.status().as_u16(),
        };
        all.requests.get_or_create(&labels).inc();
        if let Some(error) = response.extensions().get::<AuthError>() {
            self.metrics.refused(error.kind());
        }
    }
}

/// Returns a known method, because clients may invent methods, and each would become a time series.
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
