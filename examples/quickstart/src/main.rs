//! The shortest service with JWT authentication: one protected route, one that needs a scope.

use std::{env, error::Error, process::ExitCode};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
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
        .route_layer(JwtAuthLayer::new(config.verifier()?.build()?))
        .route("/healthz", get(async || "ok"));

    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    if development {
        let token = config
            .issuer()?
            .build()?
            .access("alice")
            .scope("read")
            .issue()?;
        println!("no JWT_* variable is set, so here is a key for this run, and a token of it:\n");
        println!(
            "curl http://{}/me -H 'Authorization: Bearer {token}'",
            listener.local_addr()?
        );
    }
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped())
        .await?;
    Ok(())
}

/// The verified claims, as the issuer wrote them.
async fn me(token: VerifiedToken) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        token.payload().to_owned(),
    )
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
