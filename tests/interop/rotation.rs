//! An API and a real provider: keys rotate under load, and the provider crashes and comes back.
//!
//! The clock of the fetches is set by hand, so that an hour passes at once. Requests, keys and tokens are
//! real, and so is the time by which tokens are verified.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::{Router, routing::get};
use http::{Request, Response, StatusCode};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;
use tower::ServiceExt as _;
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::keys::{KeySourceHealth, KeySourceState};
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};

use crate::provider::{AUDIENCE, Provider};

/// After this time, an unknown key id causes a fetch again.
const WINDOW: Duration = Duration::from_secs(31);
/// After this time, keys with the provider's `max-age=60` have been fetched again in the background.
const BACKGROUND: Duration = Duration::from_secs(52);

#[tokio::test(start_paused = true)]
async fn keys_rotate_under_load_without_refusing_valid_tokens() {
    let Some(provider) = Provider::start("rotation") else {
        return;
    };
    let _time = HandSetTime::new();
    let api = Api::new(&provider);
    let first = provider.token().await;
    assert_eq!(api.get(&first).await.status(), StatusCode::OK);
    let load = Load::start(&api, first);

    for round in 0..8 {
        if round % 2 == 0 {
            // Without notice: the first request with the new key waits for a fetch.
            advance(WINDOW).await;
            provider.keys("rotate").await;
        } else {
            // As providers should do: the next key is published for as long as clients may cache keys.
            let known = api.health().keys;
            provider.keys("publish").await;
            advance(BACKGROUND).await;
            until("the next key is known", || api.health().keys == known + 1).await;
            provider.keys("sign").await;
        }
        load.add(provider.token().await);
        load.goes_round().await;
    }
    let tokens = load.end().await;
    assert_eq!(tokens.len(), 9);
    assert_eq!(api.health().keys, 9);

    provider.keys("withdraw").await;
    let (newest, old) = tokens.split_last().unwrap();
    for token in old {
        let status = api.get(token).await.status();
        assert_eq!(status, StatusCode::OK, "until the next fetch");
    }
    advance(BACKGROUND).await;
    until("the old keys are gone", || api.health().keys == 1).await;
    for token in old {
        let answer = api.get(token).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = &answer.headers()["www-authenticate"];
        assert_eq!(challenge, r#"Bearer realm="api", error="invalid_token""#);
    }
    assert_eq!(api.get(newest).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_provider_may_crash_and_come_back() {
    let Some(mut provider) = Provider::start("outage") else {
        return;
    };
    let _time = HandSetTime::new();
    let warm = Api::new(&provider);
    let known = provider.token().await;
    assert_eq!(warm.get(&known).await.status(), StatusCode::OK);
    provider.keys("rotate").await;
    let unknown = provider.token().await; // its key was published after the last fetch

    provider.kill();
    let cold = Api::new(&provider); // starts while the provider is down
    advance(BACKGROUND).await;
    until("a fetch has failed", || warm.health().failures > 0).await;
    advance(Duration::from_secs(3600)).await;
    assert_eq!(warm.health().state, KeySourceState::Stale);
    assert_eq!(warm.get(&known).await.status(), StatusCode::OK);
    // The provider might have the key, so it is neither a 401 nor a success.
    is_unavailable(&warm.get(&unknown).await);
    is_unavailable(&cold.get(&known).await);
    assert_eq!(cold.health().state, KeySourceState::Empty);

    // Keys that may have been withdrawn an hour ago are no longer trusted.
    advance(WINDOW).await;
    assert_eq!(warm.health().state, KeySourceState::Expired);
    is_unavailable(&warm.get(&known).await);

    provider.restart();
    advance(Duration::from_secs(300)).await; // the longest back-off
    for api in [&warm, &cold] {
        until("the keys are back", || api.health().state.is_ready()).await;
        assert_eq!(api.health().keys, 2);
        for token in [&known, &unknown] {
            assert_eq!(api.get(token).await.status(), StatusCode::OK);
        }
    }
}

fn is_unavailable(answer: &Response<Body>) {
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let seconds = answer.headers()["retry-after"].to_str().unwrap();
    assert!((1..=300).contains(&seconds.parse::<u64>().unwrap()));
    assert!(!answer.headers().contains_key("www-authenticate"));
}

/// Waits for an event that happens soon.
async fn until(what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(60), "not: {what}");
        yield_now().await;
    }
}

/// Keeps tokio from advancing its paused clock while responses are awaited.
struct HandSetTime {
    _until_dropped: mpsc::Sender<()>,
}

impl HandSetTime {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        // It does not advance while a blocking task runs.
        tokio::task::spawn_blocking(move || receiver.recv());
        Self {
            _until_dropped: sender,
        }
    }
}

/// A service that accepts the provider's tokens.
#[derive(Clone)]
struct Api {
    router: Router,
    verifier: TokenVerifier,
}

impl Api {
    fn new(provider: &Provider) -> Self {
        let keys = RemoteJwks::builder(provider.issuer()).allow_loopback();
        let verifier = TokenVerifier::builder()
            .remote_jwks(&keys.build().unwrap())
            .audience(AUDIENCE)
            .profile(TokenProfile::Rfc9068)
            .role_claim("realm_access.roles")
            .build()
            .unwrap();
        let router = Router::new()
            .route("/", get(async || "ok"))
            .layer(JwtAuthLayer::new(verifier.clone()));
        Self { router, verifier }
    }

    async fn get(&self, token: &str) -> Response<Body> {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn health(&self) -> KeySourceHealth {
        self.verifier.health().remove(0)
    }
}

/// Clients that send requests without a pause, with all tokens in turn.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    tokens: Mutex<Vec<String>>,
    /// The number of times that all tokens were used, by all clients together.
    rounds: AtomicUsize,
    over: AtomicBool,
}

const CLIENTS: usize = 8;

impl Load {
    fn start(api: &Api, token: String) -> Self {
        let shared = Arc::new(Shared::default());
        shared.tokens.lock().unwrap().push(token);
        let client = |_| {
            let (api, shared) = (api.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                while !shared.over.load(Ordering::Relaxed) {
                    let tokens = shared.tokens.lock().unwrap().clone();
                    for (number, token) in tokens.iter().enumerate().rev() {
                        let status = api.get(token).await.status();
                        assert_eq!(status, StatusCode::OK, "token {number}");
                        yield_now().await;
                    }
                    shared.rounds.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    fn add(&self, token: String) {
        self.shared.tokens.lock().unwrap().push(token);
    }

    /// Waits until each client has used the newest token.
    async fn goes_round(&self) {
        let rounds = || self.shared.rounds.load(Ordering::Relaxed);
        let enough = rounds() + 20 * CLIENTS;
        until("all clients are answered", || {
            rounds() >= enough || self.clients.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    async fn end(self) -> Vec<String> {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap(); // errors of a client are reported here
        }
        let tokens = self.shared.tokens.lock().unwrap();
        tokens.clone()
    }
}
