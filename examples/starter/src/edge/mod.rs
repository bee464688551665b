//! What every request passes on its way in, and every answer on its way out.

mod cors;
mod headers;
mod host;
mod request_id;

pub(crate) use request_id::RequestId;

use std::any::Any;

use axum::Router;
use axum::extract::MatchedPath;
use axum::http::header::CACHE_CONTROL;
use axum::http::{Request, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tower_jwt_auth::jwks::{JWKS_PATH, JwksService};
use tracing::{Level, Span};

use crate::problem::Problem;
use crate::{App, MetricsPlace, metrics, openapi, web};

/// Puts around the routes what holds for all of them.
pub(crate) fn around(app: &App, api: Router) -> Router {
    // In this order: a path that is not served is answered as the API does.
    let mut routes = beside(app).merge(api);
    // A preflight carries no token: it is answered before one is asked for.
    if let Some(cors) = cors::layer(&app.operations.cors_origins) {
        routes = routes.layer(cors);
    }
    // The layer that is added last is the outermost.
    headers::add(
        routes.layer(from_fn(host::check)),
        app.operations.public_url.as_ref(),
    )
    .layer(from_fn_with_state(app.metrics.clone(), metrics::observe))
    .layer(
        TraceLayer::new_for_http()
            .make_span_with(span)
            .on_response(DefaultOnResponse::new().level(Level::INFO)),
    )
    .layer(from_fn(request_id::give))
    .layer(CatchPanicLayer::custom(panicked))
}

/// A panic anywhere is an answer like any other, and the connection goes on.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    let problem = Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR);
    ([(CACHE_CONTROL, "no-store")], problem).into_response()
}

/// What is no part of the API, and may be kept in caches.
fn beside(app: &App) -> Router {
    let mut routes = Router::new().route_service(JWKS_PATH, JwksService::new(&app.tokens));
    routes = routes.merge(openapi::routes()).merge(web::routes());
    if app.operations.metrics == MetricsPlace::Main {
        let show = get(metrics::show).with_state(app.metrics.clone());
        routes = routes.route("/metrics", show);
    }
    routes
}

/// What the log says of a request: the template of its route, in which no id of a user or of a
/// session is filled in. Headers, bodies and queries may hold secrets.
fn span<B>(request: &Request<B>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let route = request.extensions().get::<MatchedPath>();
    tracing::info_span!(
        "request",
        id = id.map(RequestId::as_str),
        method = %request.method(),
        path = route.map_or(request.uri().path(), MatchedPath::as_str),
    )
}
