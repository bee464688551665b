//! A tonic server whose calls need a token. Health checks are public, browsers can use gRPC-Web, and plain
//! HTTP has a route on the same port.

mod auth;
mod orders;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tonic::service::{LayerExt, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_web::GrpcWebLayer;
use tower_jwt_auth::layer::{GrpcStatus, ProblemJson};
use tower_jwt_auth::{JwtAuthLayer, TokenVerifier, VerifiedToken};

use orders::Orders;
use proto::orders_server::OrdersServer;

/// The code that `build.rs` generates from `proto/orders/v1/orders.proto`.
pub mod proto {
    tonic::include_proto!("orders.v1");
}

/// Serves until `stop` completes. Calls that are still open then have 10 seconds to end.
pub async fn serve(
    listener: TcpListener,
    verifier: TokenVerifier,
    stop: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (stopped, mut stopping) = tokio::sync::watch::channel(());
    let server = Server::builder()
        .accept_http1(true) // for gRPC-Web and plain HTTP
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .max_connection_age(Duration::from_secs(3600))
        .add_routes(routes(verifier).await)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), async move {
            let _ = stopping.changed().await;
        });
    tokio::select! {
        served = server => served?,
        () = async {
            stop.await;
            drop(stopped);
            tokio::time::sleep(Duration::from_secs(10)).await;
        } => {}
    }
    Ok(())
}

/// Returns the routes. Those above `route_layer` need a token, those below it are public.
async fn routes(verifier: TokenVerifier) -> Routes {
    let auth = JwtAuthLayer::new(verifier).on_error(GrpcStatus.or(ProblemJson));
    let orders = OrdersServer::new(Orders::with_samples());
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OrdersServer<Orders>>().await;

    let router = Routes::new(GrpcWebLayer::new().named_layer(orders))
        .into_axum_router()
        .route("/me", get(me))
        .route_layer(auth)
        .route("/healthz", get(async || "ok"));
    Routes::from(router).add_service(health_service)
}

/// Returns the verified claims, as the issuer wrote them.
async fn me(token: VerifiedToken) -> impl IntoResponse {
    let json = [(CONTENT_TYPE, "application/json")];
    (json, token.payload().to_owned())
}
