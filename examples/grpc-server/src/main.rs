//! Reads the configuration and serves until Ctrl-C.

use std::{env, error::Error, process::ExitCode};

use tokio::net::TcpListener;
use tower_jwt_auth::config::AuthConfig;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grpc-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let development = AuthConfig::env_is_empty();
    let config = if development {
        AuthConfig::development()?
    } else {
        AuthConfig::from_env()?
    };
    let verifier = config.verifier_builder()?.build()?;

    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if development {
        let tokens = config.issuer_builder()?.build()?;
        let token = tokens.access("alice").scope("orders:write").issue()?;
        println!(
            "no JWT_* variable is set, so here is a token, signed with a random key for this run:\n"
        );
        println!("curl http://{address}/me -H 'Authorization: Bearer {token}'");
    }
    grpc_server::serve(listener, verifier, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await
}
