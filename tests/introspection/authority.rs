//! A scripted authorization server, without a network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::{Introspection, IntrospectionBuilder};
use tower_jwt_auth::jwks::{BoxError, HttpClient};
use tower_jwt_auth::{AuthError, JwtAuthLayer, VerifiedToken};

pub const ISSUER: &str = "https://idp.example";
pub const ENDPOINT: &str = "https://idp.example/introspect";
/// The start time of the clock.
pub const NOW: u64 = 1_700_000_000;

/// How it responds to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Good,
    /// It refuses the connection.
    Refuse,
    Hang,
    Panic,
    Status(u16),
    /// The metadata is that of another issuer.
    OtherIssuer,
    /// The metadata names an endpoint at another host.
    Elsewhere,
    /// The metadata names no endpoint.
    NoEndpoint,
    /// The endpoint is now at `/new`.
    Moved,
}

#[derive(Debug, Clone)]
pub struct Authority {
    state: Arc<Mutex<State>>,
    pub clock: ManualClock,
}

#[derive(Debug)]
pub struct State {
    pub mode: Mode,
    pub delay: Duration,
    /// Its answers about tokens. All other tokens are inactive.
    pub tokens: HashMap<String, Value>,
    /// The tokens that it was asked about.
    pub asked: Vec<String>,
    pub metadata_fetches: usize,
}

// === impl Authority ===

impl Authority {
    /// Creates a server with the token `good` of alice.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                mode: Mode::Good,
                delay: Duration::ZERO,
                tokens: HashMap::from([("good".to_owned(), active())]),
                asked: Vec::new(),
                metadata_fetches: 0,
            })),
            clock: ManualClock::at_unix_seconds(NOW),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns the number of requests.
    pub fn count(&self) -> usize {
        self.state().asked.len()
    }

    /// Sets the answer about a token.
    pub fn says(&self, token: &str, answer: Value) {
        self.state().tokens.insert(token.to_owned(), answer);
    }

    pub fn set(&self, mode: Mode) {
        self.state().mode = mode;
    }

    pub fn builder(&self) -> IntrospectionBuilder {
        self.complete(Introspection::builder_at(ENDPOINT))
    }

    pub fn discovered(&self) -> IntrospectionBuilder {
        self.complete(Introspection::builder(ISSUER))
    }

    fn complete(&self, builder: IntrospectionBuilder) -> IntrospectionBuilder {
        builder
            .client_secret_basic("reports-api", "s3cret")
            .audience("api")
            .clock(self.clock.clone())
            .client(self.clone())
    }

    pub fn introspection(&self) -> Introspection {
        self.builder().build().unwrap()
    }

    fn metadata(&self) -> Response<Vec<u8>> {
        let mut state = self.state();
        state.metadata_fetches += 1;
        let (issuer, endpoint) = match state.mode {
            Mode::OtherIssuer => ("https://evil.example", json!(ENDPOINT)),
            Mode::Elsewhere => (ISSUER, json!("https://api.example/introspect")),
            Mode::NoEndpoint => (ISSUER, Value::Null),
            Mode::Moved => (ISSUER, json!("https://idp.example/new")),
            _ => (ISSUER, json!(ENDPOINT)),
        };
        let metadata = json!({"issuer": issuer, "introspection_endpoint": endpoint});
        Response::new(metadata.to_string().into_bytes())
    }
}

impl HttpClient for Authority {
    async fn send(
        &self,
        request: Request<String>,
        _limit: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let form = request.body().clone();
        let is_post = request.method() == http::Method::POST;
        let token = form
            .strip_prefix("token=")
            .and_then(|rest| rest.split('&').next())
            .unwrap_or_default()
            .to_owned();
        if is_post {
            self.state().asked.push(token.clone());
        }
        let (mode, delay) = {
            let state = self.state();
            (state.mode, state.delay)
        };
        sleep(delay).await;
        match mode {
            Mode::Refuse => return Err("connection refused".into()),
            Mode::Hang => std::future::pending().await,
            Mode::Panic => panic!("as it was told to"),
            _ => {}
        }
        if !is_post {
            return Ok(self.metadata());
        }
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert_eq!(authorization, "Basic cmVwb3J0cy1hcGk6czNjcmV0");
        let status = match mode {
            Mode::Status(status) => Some(status),
            Mode::Moved if request.uri().path() != "/new" => Some(404),
            _ => None,
        };
        if let Some(status) = status {
            let mut response = Response::new(Vec::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            return Ok(response);
        }
        let state = self.state();
        let answer = state.tokens.get(&token).cloned();
        let answer = answer.unwrap_or_else(|| json!({"active": false}));
        let mut response = Response::new(answer.to_string().into_bytes());
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        Ok(response)
    }
}

/// A good answer, valid for an hour.
pub fn active() -> Value {
    json!({
        "active": true, "sub": "alice", "aud": "api", "iss": ISSUER, "client_id": "app",
        "scope": "reports:read reports:write", "token_type": "Bearer", "jti": "id-1",
        "iat": NOW - 10, "exp": NOW + 3600,
    })
}

/// The good answer with these members changed; `null` removes one.
pub fn active_with(members: Value) -> Value {
    let mut answer = active();
    if let Value::Object(members) = members {
        answer.as_object_mut().unwrap().extend(members);
    }
    answer
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    answer
}

/// The verdict on a token, as in a layer.
pub async fn verdict(judge: &Introspection, token: &str) -> Result<VerifiedToken, AuthError> {
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let layer = JwtAuthLayer::for_credentials(judge.clone());
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let token = request.extensions().get::<VerifiedToken>().unwrap().clone();
        let mut response = Response::new(());
        response.extensions_mut().insert(token);
        Ok::<_, std::convert::Infallible>(response)
    }));
    let request = Request::builder()
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    if let Some(error) = response.extensions().get::<AuthError>() {
        assert_eq!(response.status(), error.status());
        let is_outage = response.status() == 503;
        assert_eq!(is_outage, response.headers().contains_key("retry-after"));
        assert_eq!(
            is_outage,
            !response.headers().contains_key("www-authenticate")
        );
        return Err(error.clone());
    }
    assert_eq!(response.status(), 200);
    Ok(response
        .extensions()
        .get::<VerifiedToken>()
        .unwrap()
        .clone())
}

/// Returns `ok`, or the status and the reason.
pub async fn told(judge: &Introspection, token: &str) -> String {
    match verdict(judge, token).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{} {}", error.status().as_u16(), error.reason()),
    }
}
