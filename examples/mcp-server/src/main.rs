//! An MCP server whose tools see who calls them, for clients that log in at an authorization server.

mod notes;
mod refusal;
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
            eprintln!("mcp-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Refused tokens are logged at `debug`, and an authorization server that is unavailable at `warn`. At
    // `info`, `rmcp` would write three lines for each request.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rmcp=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();

    let settings = Settings::from_env()?;
    let app = routes::router(&settings)?;
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("BIND_ADDR: cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if settings.development {
        print!("{}", first_steps(address, &settings));
    }
    serve(listener, app).await;
    Ok(())
}

/// Returns what to do next if nothing is configured.
fn first_steps(address: SocketAddr, settings: &Settings) -> String {
    let resource = &settings.resource;
    format!(
        "no JWT_* and no MCP_* variable is set, so it accepts the tokens of the authorization server in `provider/`:

(cd provider && npm ci && node provider.mjs)     # on {DEVELOPMENT}

Start that in a second shell, in the folder of this example. Then see what a client sees:

curl -i -X POST http://{address}/mcp
curl http://{address}/.well-known/oauth-protected-resource/mcp

and add {resource} as a server (streamable HTTP) to an MCP client, such as
`npx @modelcontextprotocol/inspector`. Any name and password log you in.
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
