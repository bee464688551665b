//! A client that checks every response for what all responses must have in common.

use std::error::Error;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
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

/// Returns the claims of a token, which anybody who holds it can read.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

// === impl Client ===

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { address, http }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
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
        self.sent(request).await.unwrap()
    }

    /// Sends a request whose response may be something other than JSON, and may be cached.
    pub(crate) async fn fetch(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.received(request.body(Full::default()).unwrap())
            .await
            .unwrap()
    }

    /// Returns `None` if no response arrives, as when the service is killed.
    pub(crate) async fn try_refresh(&self, token: &str) -> Option<Answer> {
        let request = Request::post(format!("http://{}/auth/refresh", self.address))
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "refresh_token": token }).to_string().into());
        self.sent(request.unwrap()).await.ok()
    }

    /// Works like `try_refresh`, for any request with JSON and an optional token.
    pub(crate) async fn try_post(&self, path: &str, token: &str, body: &Value) -> Option<Answer> {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(body.to_string().into());
        self.sent(request.unwrap()).await.ok()
    }

    async fn sent(&self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error>> {
        let answer = self.received(request).await?;
        answer.check();
        Ok(answer)
    }

    async fn received(&self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error>> {
        let (parts, body) = self.http.request(request).await?.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        self.request(Method::POST, path, &json, body.to_string())
            .await
    }

    pub(crate) async fn post_as(&self, tokens: &Tokens, path: &str, body: &Value) -> Answer {
        self.send_json(Method::POST, path, &tokens.access, body)
            .await
    }

    /// Sends a request with a token and a body.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            (AUTHORIZATION.as_str(), bearer.as_str()),
            (CONTENT_TYPE.as_str(), "application/json"),
        ];
        self.request(method, path, &headers, body.to_string()).await
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

    /// Refreshes as a client with this `User-Agent`.
    pub(crate) async fn refresh_as(&self, agent: &str, token: &str) -> Answer {
        let headers = [
            (CONTENT_TYPE.as_str(), "application/json"),
            (USER_AGENT.as_str(), agent),
        ];
        let body = json!({ "refresh_token": token }).to_string();
        self.request(Method::POST, "/auth/refresh", &headers, body)
            .await
    }

    /// Sends a request without a body.
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [(AUTHORIZATION.as_str(), bearer.as_str())];
        self.request(method, path, &headers, "").await
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.send(Method::POST, "/auth/logout", token).await
    }

    /// Logs out with a refresh token, without an access token.
    pub(crate) async fn logout_by(&self, refresh_token: &str) -> Answer {
        let body = json!({ "refresh_token": refresh_token });
        self.post("/auth/logout", &body).await
    }

    /// Returns the list of the user's own sessions.
    pub(crate) async fn sessions(&self, token: &str) -> Vec<Value> {
        let answer = self.get("/auth/sessions", token).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()["sessions"].as_array().unwrap().clone()
    }

    /// Registers a new user and logs in.
    pub(crate) async fn user(&self, email: &str) -> Tokens {
        assert_eq!(self.register(email).await.status, StatusCode::ACCEPTED);
        self.login(email, PASSWORD).await.tokens()
    }

    pub(crate) async fn assert_over(&self, tokens: &Tokens) {
        self.get("/me", &tokens.access).await.assert_invalid_token();
        self.refresh(&tokens.refresh).await.assert_invalid_grant();
    }

    pub(crate) async fn assert_good(&self, tokens: &Tokens) {
        let answer = self.get("/me", &tokens.access).await;
        assert_eq!(answer.status, StatusCode::OK);
        self.refresh(&tokens.refresh).await.tokens();
    }
}

// === impl Tokens ===

impl Tokens {
    /// Returns the claims of the access token.
    pub(crate) fn claims(&self) -> Value {
        claims(&self.access)
    }
}

// === impl Answer ===

impl Answer {
    /// Checks what must hold for every response of the service.
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

    pub(crate) fn assert_unavailable(&self) {
        assert_eq!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{:?}",
            self.body
        );
        let seconds = self.headers[RETRY_AFTER].to_str().unwrap();
        assert!(seconds.parse::<u32>().unwrap() >= 1);
        assert_eq!(self.headers.get(WWW_AUTHENTICATE), None);
    }

    pub(crate) fn assert_invalid_grant(&self) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{:?}", self.body);
        assert_eq!(self.code(), "invalid_grant");
    }

    pub(crate) fn assert_invalid_token(&self) {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{:?}", self.body);
        assert_eq!(self.code(), "invalid_token");
        let challenge = &self.headers[WWW_AUTHENTICATE];
        assert_eq!(challenge, r#"Bearer realm="api", error="invalid_token""#);
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Returns all values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// Returns the value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the challenge that came in place of tokens.
    pub(crate) fn challenge(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        let json = self.json();
        assert_eq!(json.get("access_token"), None);
        assert_eq!(json.get("refresh_token"), None);
        json["challenge"].as_str().expect("a challenge").to_owned()
    }

    /// Returns the error code.
    pub(crate) fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or("none").to_owned()
    }

    pub(crate) fn tokens(&self) -> Tokens {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        let json = self.json();
        assert_eq!(json.get("challenge"), None);
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        Tokens {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}
