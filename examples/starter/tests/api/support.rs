//! A service under test, and a client that holds every answer against what all answers promise.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use starter::{App, SessionSettings, Settings, serve};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::config::AuthConfig;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A folder that is gone when the test is over.
pub(crate) struct Folder(PathBuf);

pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) folder: Folder,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

pub(crate) fn config() -> AuthConfig {
    AuthConfig::from_vars([
        ("JWT_SECRET", "pJ4v0qkX9sTz2mWb7LhR5yNcE1uGdA8fKoViQwZxS3M"),
        ("JWT_ISSUER", "https://starter.test"),
        ("JWT_AUDIENCE", "starter-test"),
    ])
    .unwrap()
}

/// Makes tokens as the service did some time ago.
pub(crate) fn issuer_in_the_past(ago: Duration) -> TokenIssuer {
    let clock = ManualClock::at_now();
    clock.set(std::time::SystemTime::now() - ago);
    config().issuer().unwrap().clock(clock).build().unwrap()
}

/// Waits for what happens beside the requests: the query's number comes to be this one.
pub(crate) async fn becomes(query: &'static str, number: i64, database: &mut SqliteConnection) {
    for _ in 0..1000 {
        let query = sqlx::query_scalar::<_, i64>(query);
        if query.fetch_one(&mut *database).await.unwrap() == number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {number}: {query}");
}

// === impl Folder ===

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("starter-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn database_url(&self) -> String {
        format!("sqlite:{}", self.0.join("starter.sqlite").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// === impl Service ===

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_in(Folder::new()).await
    }

    pub(crate) async fn start_in(folder: Folder) -> Self {
        Self::start_with(folder, SessionSettings::default()).await
    }

    pub(crate) async fn start_with(folder: Folder, sessions: SessionSettings) -> Self {
        let settings = Settings {
            bind_address: "127.0.0.1:0".to_owned(),
            database_url: folder.database_url(),
            auth: config(),
            sessions,
            development: false,
        };
        let app = App::open(&settings).await.unwrap();
        let listener = tokio::net::TcpListener::bind(&settings.bind_address)
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn({
            let app = app.clone();
            async move { serve(listener, app, stopped).await.unwrap() }
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            app,
            folder,
            address,
            client,
            stop,
            served,
        }
    }

    /// Stops the service as a signal would, and leaves what it has kept.
    pub(crate) async fn stop(self) -> Folder {
        self.stop.send(()).unwrap();
        drop(self.client);
        self.served.await.unwrap();
        self.folder
    }

    /// A connection of its own to the same file, as another program would have.
    pub(crate) async fn database(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.folder.database_url())
            .await
            .unwrap()
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        answer.check();
        answer
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        self.request(Method::POST, path, &json, body.to_string())
            .await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, token).await
    }

    pub(crate) async fn register(&self, email: &str) -> Answer {
        let account = json!({ "email": email, "password": PASSWORD });
        self.post("/auth/register", &account).await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        let account = json!({ "email": email, "password": password });
        self.post("/auth/login", &account).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": token }))
            .await
    }

    /// A request without a body.
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [(AUTHORIZATION.as_str(), bearer.as_str())];
        self.request(method, path, &headers, "").await
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.send(Method::POST, "/auth/logout", token).await
    }

    /// The own sessions, as they are listed.
    pub(crate) async fn sessions(&self, token: &str) -> Vec<Value> {
        let answer = self.get("/auth/sessions", token).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()["sessions"].as_array().unwrap().clone()
    }

    /// A new user who has logged in.
    pub(crate) async fn user(&self, email: &str) -> Tokens {
        assert_eq!(self.register(email).await.status, StatusCode::CREATED);
        self.login(email, PASSWORD).await.tokens()
    }
}

// === impl Answer ===

impl Answer {
    /// What holds for every answer of the service.
    fn check(&self) {
        assert_eq!(self.headers[CACHE_CONTROL], "no-store");
        assert_eq!(self.headers[PRAGMA], "no-cache");
        if self.status.is_success() {
            return;
        }
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["title"], self.status.canonical_reason().unwrap());
        assert!(problem["detail"].is_string(), "{problem}");
    }

    pub(crate) fn assert_invalid_token(&self) {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{:?}", self.body);
        assert_eq!(self.code(), "invalid_token");
        let challenge = &self.headers[WWW_AUTHENTICATE];
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The word that tells a program what is wrong.
    pub(crate) fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or("none").to_owned()
    }

    pub(crate) fn tokens(&self) -> Tokens {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        Tokens {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}
