//! An API that accepts the tokens of identity providers, and issues none.

mod routes;
mod settings;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::Duration;
use std::{env, error::Error, process::ExitCode};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use settings::{DEVELOPMENT, Settings};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("resource-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Refused tokens are logged at `debug`, and a provider that is unavailable at `warn`.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();

    let settings = Settings::from_env()?;

    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("BIND_ADDR: cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if settings.development {
        print!("{}", first_steps(address));
    }
    serve(listener, routes::router(settings.verifier)).await;
    Ok(())
}

/// Returns the lines to paste into another shell.
fn first_steps(address: SocketAddr) -> String {
    let token = r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#;
    format!(
        "no JWT_* variable is set, so it accepts the tokens of the provider in `provider/`:

(cd provider && npm ci && node provider.mjs)

Start it in a second shell, in the folder of this example. Then paste these into a third:

TOKEN=$(curl -sS {DEVELOPMENT}/token -u demo:demo-secret \
  -d grant_type=client_credentials -d scope=reports:read | {token})
curl http://{address}/me -H \"Authorization: Bearer $TOKEN\"
curl http://{address}/reports -H \"Authorization: Bearer $TOKEN\"
curl http://{address}/readyz

README.md says how to see its keys rotate.
"
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
