//! [`KeyHolder`]: a client that binds its tokens to a key (DPoP, RFC 9449).

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::ProofKey;

use super::{Answer, Client, PASSWORD, Tokens};

/// The `PUBLIC_URL` of the services under test.
const ADDRESS: &str = "https://app.test";

pub(crate) struct KeyHolder {
    pub(crate) key: ProofKey,
    nonce: Mutex<Option<String>>,
    /// The time by its own clock, which may be wrong.
    time: fn() -> SystemTime,
}

// === impl KeyHolder ===

impl KeyHolder {
    pub(crate) fn new() -> Self {
        Self::of(ProofKey::generate(Algorithm::ES256).unwrap())
    }

    /// Returns a client with this key that knows no nonce yet.
    pub(crate) fn of(key: ProofKey) -> Self {
        Self {
            key,
            nonce: Mutex::new(None),
            time: SystemTime::now,
        }
    }

    /// Returns a client whose clock is an hour behind.
    pub(crate) fn behind() -> Self {
        Self {
            time: || SystemTime::now() - Duration::from_secs(3600),
            ..Self::new()
        }
    }

    /// Returns a client whose clock is an hour ahead.
    pub(crate) fn ahead() -> Self {
        Self {
            time: || SystemTime::now() + Duration::from_secs(3600),
            ..Self::new()
        }
    }

    /// Returns the newest nonce that the client knows.
    pub(crate) fn nonce(&self) -> Option<String> {
        self.nonce.lock().unwrap().clone()
    }

    /// Returns a proof for one request, with the newest nonce that the client knows.
    pub(crate) fn proof(&self, method: &Method, path: &str, token: Option<&str>) -> String {
        let mut proof = self
            .key
            .proof(method.as_str(), &format!("{ADDRESS}{path}"))
            .issued_at((self.time)());
        if let Some(nonce) = self.nonce() {
            proof = proof.nonce(&nonce);
        }
        if let Some(token) = token {
            proof = proof.token(token);
        }
        proof.sign()
    }

    /// Sends a request with this proof, beside a token if there is one, and learns the nonce.
    pub(crate) async fn send_with(
        &self,
        proof: &str,
        client: &Client,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Answer {
        let authorization = token.map(|token| format!("DPoP {token}"));
        let mut headers = vec![("dpop", proof)];
        headers.extend(authorization.as_deref().map(|text| ("authorization", text)));
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let answer = client.request(method, path, &headers, body.to_owned());
        let answer = answer.await;
        if let Some(nonce) = answer.headers.get("dpop-nonce") {
            *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
        }
        answer
    }

    /// Sends a request, and once more if it needs a nonce.
    pub(crate) async fn send(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Answer {
        let ask = async || {
            let proof = self.proof(&method, path, token);
            self.send_with(&proof, client, method.clone(), path, token, body)
                .await
        };
        let answer = ask().await;
        let is_refused = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED];
        if is_refused.contains(&answer.status) && answer.code() == "use_dpop_nonce" {
            return ask().await;
        }
        answer
    }

    pub(crate) async fn post(&self, client: &Client, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(client, Method::POST, path, None, &body).await
    }

    pub(crate) async fn get(&self, client: &Client, path: &str, token: &str) -> Answer {
        self.send(client, Method::GET, path, Some(token), "").await
    }

    pub(crate) async fn log_in(&self, client: &Client, email: &str) -> Answer {
        let account = json!({ "email": email, "password": PASSWORD });
        self.post(client, "/auth/login", &account).await
    }

    pub(crate) async fn refresh(&self, client: &Client, token: &str) -> Answer {
        let body = json!({ "refresh_token": token });
        self.post(client, "/auth/refresh", &body).await
    }

    /// Returns the tokens of an answer. Checks that they are bound to this key and work with it.
    pub(crate) async fn bound(&self, client: &Client, answer: &Answer) -> Tokens {
        let tokens = answer.tokens();
        self.assert_bound(client, answer, &tokens.access).await;
        tokens
    }

    /// Checks that the access token of an answer is bound to this key, and works only with it.
    pub(crate) async fn assert_bound(&self, client: &Client, answer: &Answer, access: &str) {
        assert_eq!(answer.json()["token_type"], "DPoP");
        let claims = super::claims(access);
        assert_eq!(claims["cnf"], json!({ "jkt": self.key.thumbprint() }));
        let me = self.get(client, "/me", access).await;
        assert_eq!(me.status, StatusCode::OK, "{:?}", me.body);
        client.get("/me", access).await.assert_invalid_token();
    }
}
