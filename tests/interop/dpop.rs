//! Real DPoP clients: npm `oauth4webapi` and `dpop` log in, send requests and refresh here, with nonces.
//! Tokens of npm `oidc-provider` that are bound to a key are accepted with a proof, and refused as bearer
//! tokens.

use std::net::SocketAddr;
use std::process::Command;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_jwt_auth::dpop::{Dpop, DpopNonces, DpopProof, MemoryReplays};
use tower_jwt_auth::sessions::{MemorySessions, SessionError};
use tower_jwt_auth::verifier::Binding;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, Sessions, SigningKey, TokenIssuer, VerifiedToken};

const SECRET: &[u8] = b"\x3d\x91\x0c\x5a\xe7\x33\xb8\x4d\xf1\x26\xc9\x70\x1e\xa5\x88\x42\xdb\
\x07\xf6\x3b\x94\x6e\xd0\x15\xac\x59\xe3\x80\x2f\xc7\x61\xba";

#[derive(Clone)]
struct App {
    sessions: Sessions,
    dpop: Dpop,
}

impl FromRef<App> for Dpop {
    fn from_ref(app: &App) -> Self {
        app.dpop.clone()
    }
}

/// Returns a field of a form. No value of these clients has to be decoded.
fn field<'f>(form: &'f str, name: &str) -> Option<&'f str> {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(found, value)| (found == name).then_some(value))
}

/// Handles logins and refreshes. A proof binds the tokens that are issued.
async fn token(
    State(app): State<App>,
    proof: Option<DpopProof>,
    form: String,
) -> Result<Response, SessionError> {
    let proof = proof.as_ref();
    let headers = proof.map(DpopProof::response_headers).unwrap_or_default();
    let pair = match (field(&form, "grant_type"), field(&form, "refresh_token")) {
        (Some("client_credentials"), _) => app.sessions.open("alice").dpop(proof).issue().await?,
        (Some("refresh_token"), Some(token)) => {
            let refresh = app.sessions.refresh(token).await?;
            refresh.dpop(proof).issue().await?.tokens
        }
        _ => return Ok(StatusCode::BAD_REQUEST.into_response()),
    };
    Ok((headers, pair).into_response())
}

async fn orders(token: VerifiedToken) -> String {
    match token.binding() {
        Binding::Dpop { .. } => format!("{} with a proof", token.subject().unwrap_or_default()),
        other => format!("{other:?}"),
    }
}

async fn serve(app: Router, listener: TcpListener) {
    tokio::spawn(async move { axum::serve(listener, app).await });
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An API that issues tokens, and requires nonces and proofs.
async fn start() -> SocketAddr {
    let (listener, address) = bind().await;
    let dpop = Dpop::builder(format!("http://{address}"), MemoryReplays::new())
        .nonces(DpopNonces::new(SECRET).unwrap())
        .build()
        .unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let tokens = TokenIssuer::builder(key).issuer("me").audience("api");
    let tokens = tokens.build().unwrap();
    let sessions = Sessions::builder(&tokens, MemorySessions::new());
    let sessions = sessions.build().unwrap();
    let app = Router::new()
        .route("/orders", get(orders))
        .route_layer(JwtAuthLayer::new(tokens.verifier()).require_dpop(dpop.clone()))
        .route("/token", post(token))
        .with_state(App { sessions, dpop });
    serve(app, listener).await;
    address
}

/// The output of the clients, step by step.
async fn clients(kind: &str, address: SocketAddr, issuer: &str) -> Option<Value> {
    let folder = crate::peer::node_folder()?;
    let mut command = Command::new("node");
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop/dpop.mjs"
        ))
        .arg(folder)
        .arg(kind)
        .arg(format!("http://{address}"))
        .arg(issuer);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(&said).unwrap_or_else(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("the client said {said:?}: {errors}")
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oauth4webapi_completes_a_session_and_a_thief_fails() {
    for algorithm in ["ES256", "Ed25519", "RS256"] {
        let address = start().await;
        let Some(said) = clients(&format!("own={algorithm}"), address, "").await else {
            return;
        };
        let round = [json!(["resource", "alice with a proof"])];
        let rounds = (0..3).flat_map(|_| round.clone());
        let mut expected = vec![json!(["login", "use_dpop_nonce"]), json!(["login", "dpop"])];
        expected.extend(rounds);
        expected.extend([
            json!(["thief as bearer", [401, "dpop", "invalid_token"]]),
            json!(["thief", "use_dpop_nonce"]),
            json!(["thief with a key", [401, "dpop", "invalid_token"]]),
            json!(["thief refreshes without a key", "invalid_dpop_proof"]),
            json!(["honest client", "dpop"]),
            json!(["thief refreshes with a key", "invalid_grant"]),
            json!(["honest client", "invalid_grant"]),
        ]);
        assert_eq!(said, Value::Array(expected), "{algorithm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_npm_dpop_are_accepted_once() {
    for algorithm in ["ES256", "Ed25519", "RS256"] {
        let address = start().await;
        let Some(said) = clients(&format!("bare={algorithm}"), address, "").await else {
            return;
        };
        let steps = said.as_array().unwrap();
        let expected = [
            json!(["login", "DPoP"]),
            json!(["resource", "alice with a proof"]),
            json!(["replay", [401, "invalid_dpop_proof"]]),
        ];
        assert_eq!(steps[..3], expected, "{algorithm}");
        assert_eq!(steps[3][1].as_str().map(str::len), Some(43));
    }
}

#[cfg(feature = "jwks")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bound_tokens_of_oidc_provider_need_a_proof() {
    use tower_jwt_auth::TokenVerifier;
    use tower_jwt_auth::credential::Introspection;
    use tower_jwt_auth::jwks::RemoteJwks;
    use tower_jwt_auth::verifier::TokenProfile;

    use crate::provider::{AUDIENCE, Provider};

    let Some(provider) = Provider::start_opaque("dpop") else {
        return;
    };
    let jwt_audience = format!("{AUDIENCE}/jwt");
    let keys = RemoteJwks::builder(provider.issuer()).allow_loopback();
    let jwts = TokenVerifier::builder()
        .remote_jwks(&keys.build().unwrap())
        .audience(&jwt_audience)
        .profile(TokenProfile::Rfc9068)
        .build()
        .unwrap();
    let opaque = Introspection::builder(provider.issuer())
        .allow_loopback()
        .client_secret_basic("reports:api", "s3cret: +%&=/?")
        .audience(AUDIENCE);
    let (listener, address) = bind().await;
    let dpop = Dpop::builder(format!("http://{address}"), MemoryReplays::new())
        .nonces(DpopNonces::new(SECRET).unwrap());
    let layer = JwtAuthLayer::new(jwts)
        .credentials(opaque.build().unwrap())
        .dpop(dpop.build().unwrap());
    let app = Router::new()
        .route("/orders", get(orders))
        .route_layer(layer);
    serve(app, listener).await;
    for audience in [&*jwt_audience, AUDIENCE] {
        let kind = format!("provider={audience}");
        let Some(said) = clients(&kind, address, &provider.issuer()).await else {
            return;
        };
        let expected = json!([
            ["login", "dpop"],
            ["resource", "use_dpop_nonce"],
            ["resource", "demo with a proof"],
            ["as bearer", [401, "bearer", "invalid_token"]],
            ["thief", "use_dpop_nonce"],
            ["thief with a key", [401, "dpop", "invalid_token"]],
        ]);
        assert_eq!(said, expected, "{audience}");
    }
}
