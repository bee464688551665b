//! Keys that rotate while the service runs: created, published, used, retired and removed within a minute.

use std::io::Write as _;
use std::time::{Duration, SystemTime};
use std::{env, error::Error, process::ExitCode};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_jwt_auth::jwks::{JWKS_PATH, JwksService};
use tower_jwt_auth::keys::KeyState;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, KeyRing, TokenIssuer, VerifiedToken};

/// The lifetime of tokens: short, so that keys are soon removed.
const ACCESS_TTL: Duration = Duration::from_secs(10);
const REFRESH_TTL: Duration = Duration::from_secs(20);
const LEEWAY: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("key-rotation: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let ring = KeyRing::builder()
        .file(env::var("KEY_FILE").unwrap_or_else(|_| "signing-keys.json".into()))
        .auto_rotate(Algorithm::EdDSA)
        .rotate_every(seconds("ROTATE_EVERY", 30)?)
        .publish_for(seconds("PUBLISH_FOR", 10)?)
        .check_every(Duration::from_secs(1))
        .retire_for(REFRESH_TTL + LEEWAY)
        .build()?;
    ring.watch()?;
    let tokens = TokenIssuer::builder(ring.clone())
        .issuer("http://localhost")
        .audience("development")
        .access_ttl(ACCESS_TTL)
        .refresh_ttl(REFRESH_TTL)
        .leeway(LEEWAY)
        .build()?;

    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("curl http://{address}{JWKS_PATH}");
    println!("curl http://{address}/token");
    println!("curl http://{address}/me -H \"Authorization: Bearer $TOKEN\"");
    println!("curl http://{address}/keys\n");
    tokio::spawn(tell(ring));
    serve(listener, app(tokens)).await;
    Ok(())
}

fn app(tokens: TokenIssuer) -> Router {
    Router::new()
        .route("/me", get(me))
        .route_layer(JwtAuthLayer::new(tokens.verifier()))
        .route_service(JWKS_PATH, JwksService::new(&tokens))
        .route("/token", get(token))
        .route("/keys", get(keys))
        .route("/healthz", get(async || "ok"))
        .with_state(tokens)
}

/// Returns a pair of tokens to anybody. A real service asks for a password first.
async fn token(State(tokens): State<TokenIssuer>) -> Result<impl IntoResponse, StatusCode> {
    let pair = tokens.pair("alice").issue();
    let pair = pair.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(pair)))
}

/// Returns the verified claims, as the issuer wrote them.
async fn me(token: VerifiedToken) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        token.payload().to_owned(),
    )
}

/// Returns what a health page shows: each key with its state, and whether the file is valid.
async fn keys(State(tokens): State<TokenIssuer>) -> Json<Value> {
    let ring = tokens.key_ring();
    let keys = ring.map(KeyRing::keys).unwrap_or_default();
    let keys = keys.iter().map(|key| {
        let left = key
            .until
            .and_then(|until| until.duration_since(SystemTime::now()).ok());
        json!({
            "kid": key.key_id,
            "alg": key.algorithm,
            "state": key.state.as_str(),
            "seconds_left": left.map(|left| left.as_secs()),
        })
    });
    let problem = ring.and_then(KeyRing::problem);
    Json(json!({
        "keys": keys.collect::<Vec<_>>(),
        "problem": problem.map(|problem| problem.to_string()),
    }))
}

/// Prints each change of a key's state, and the errors of the file.
async fn tell(ring: KeyRing) {
    let (mut known, mut problem) = (Vec::<(String, KeyState)>::new(), None);
    loop {
        let keys = ring.keys().into_iter();
        let now: Vec<_> = keys.map(|key| (key.key_id, key.state)).collect();
        for (key_id, state) in now.iter().filter(|one| !known.contains(one)) {
            say(&format!("{key_id} is {state}"));
        }
        known = now;
        let found = ring.problem();
        if found != problem {
            match &found {
                Some(problem) => say(&format!(
                    "{problem}; the keys that were read before stay in use"
                )),
                None => say("the key file is valid again"),
            }
        }
        problem = found;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn seconds(name: &str, default: u64) -> Result<Duration, String> {
    let text = env::var(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(Duration::from_secs(default));
    }
    let seconds = text.parse().map(Duration::from_secs);
    seconds.map_err(|_| format!("{name} must be a whole number of seconds"))
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

/// Prints a line, and ignores an error if the output is closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
