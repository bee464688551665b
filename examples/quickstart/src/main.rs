//! The shortest service with JWT authentication: one protected route, one that needs a scope.

use std::{env, error::Error, process::ExitCode, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{JwtAuthLayer, Require, VerifiedToken};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let development = AuthConfig::env_is_empty();
    let config = if development {
        AuthConfig::development()?
    } else {
        AuthConfig::from_env()?
    };

    let app = Router::new()
        .route("/me", get(me))
        .route("/scoped", get(me).route_layer(Require::scope("read")))
        .route_layer(JwtAuthLayer::new(config.verifier_builder()?.build()?))
        .route("/healthz", get(async || "ok"));

    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    if development {
        let token = config
            .issuer_builder()?
            .build()?
            .access("alice")
            .scope("read")
            .issue()?;
        println!(
            "no JWT_* variable is set, so here is a token, signed with a random key for this run:\n"
        );
        println!(
            "curl http://{}/me -H 'Authorization: Bearer {token}'",
            listener.local_addr()?
        );
    }
    serve(listener, app).await;
    Ok(())
}

/// Returns the verified claims, as the issuer wrote them.
async fn me(token: VerifiedToken) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        token.payload().to_owned(),
    )
}

/// Serves until Ctrl-C. Unlike `axum::serve`, it closes a connection that sends no complete request
/// head within 30 seconds, so that silent clients do not use up the open files.
async fn serve(listener: TcpListener, app: Router) {
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Ok((stream, _)) = accepted else {
            // There are too many open files, or the client has disconnected.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()); // turns the time limit on
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(open.watch(http.serve_connection(TokioIo::new(stream), service)));
    }
    open.shutdown().await;
}
