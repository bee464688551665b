//! [`StandIn`]: a provider that says what a test tells it, right or wrong. It speaks OpenID Connect, and
//! the protocol of GitHub.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::UNIX_EPOCH;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Json;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service::{ProviderKind, ProviderSettings};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use url::{Url, form_urlencoded};

const CLIENT: &str = "the service";
const SECRET: &str = "s3cret: with & all";
const ACCESS_TOKEN: &str = "an access token";

/// A provider on this machine, which stops when this is dropped.
pub(crate) struct StandIn {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
    serving: JoinHandle<()>,
}

/// What a test has configured, and what the provider has seen.
pub(crate) struct Told {
    issuer: String,
    /// The claims of the user at the browser.
    pub(crate) user: Value,
    /// Whether the ID token contains the claims of the user, and not only the userinfo endpoint.
    pub(crate) is_in_token: bool,
    /// Replaced claims of the ID token. `null` removes one.
    pub(crate) claims: Vec<(&'static str, Value)>,
    /// Replaced members of the metadata.
    pub(crate) metadata: Vec<(&'static str, Value)>,
    /// Responses by path that replace the right ones.
    pub(crate) answers: HashMap<&'static str, (StatusCode, Value)>,
    /// Whether a foreign key signs the ID token.
    pub(crate) is_forged: bool,
    codes: HashMap<String, Code>,
    made: u32,
    key: Arc<EcdsaKeyPair>,
}

/// What the provider was asked for.
struct Code {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

// === impl StandIn ===

impl StandIn {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Told {
            issuer: format!("http://{address}"),
            user: json!({ "sub": "1", "email": "ada@example.com", "email_verified": true }),
            is_in_token: true,
            claims: Vec::new(),
            metadata: Vec::new(),
            answers: HashMap::new(),
            is_forged: false,
            codes: HashMap::new(),
            made: 0,
            key: new_key(),
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            told,
            serving,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the settings of a service that uses this provider.
    pub(crate) fn settings(&self, id: &str) -> ProviderSettings {
        ProviderSettings {
            id: id.to_owned(),
            name: format!("Provider {id}"),
            issuer: self.issuer(),
            kind: ProviderKind::OpenId,
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
        }
    }

    /// Returns the settings of a service that uses this provider as GitHub.
    pub(crate) fn as_github(&self) -> ProviderSettings {
        ProviderSettings {
            kind: ProviderKind::GitHub,
            ..self.settings("github")
        }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Puts another user at the browser.
    pub(crate) fn is_for(&self, subject: &str, email: &str, verified: bool) {
        self.told().user = json!({ "sub": subject, "email": email, "email_verified": verified });
    }

    /// Replaces the response at this path.
    pub(crate) fn answers(&self, path: &'static str, status: u16, body: Value) {
        let status = StatusCode::from_u16(status).unwrap();
        self.told().answers.insert(path, (status, body));
    }

    /// Gives right responses again.
    pub(crate) fn recovers(&self) {
        let mut told = self.told();
        told.answers.clear();
        told.claims.clear();
        told.is_forged = false;
    }

    /// Lets the user who was sent here log in, and returns the parameters for the callback.
    pub(crate) fn approves(&self, asked: &Url) -> Vec<(&'static str, String)> {
        let asked: HashMap<_, _> = asked.query_pairs().into_owned().collect();
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut told = self.told();
        let code = format!("code {} of {}", told.made, told.issuer);
        let known = Code {
            nonce: asked.get("nonce").cloned().unwrap_or_default(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
        };
        told.codes.insert(code.clone(), known);
        told.made += 1;
        vec![
            ("code", code),
            ("state", asked["state"].clone()),
            ("iss", told.issuer.clone()),
        ]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

// === impl Told ===

impl Told {
    fn metadata(&self) -> Value {
        let issuer = &self.issuer;
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?theme=dark"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        for (name, value) in &self.metadata {
            metadata[*name] = value.clone();
        }
        metadata
    }

    fn keys(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
            "x": part(&point[1..33]), "y": part(&point[33..]),
        }] })
    }

    /// Returns the tokens for a code, which works once and needs the verifier.
    fn tokens(&mut self, form: &HashMap<String, String>) -> Result<Value, Value> {
        let refused = || json!({ "error": "invalid_grant" });
        let code = self.codes.remove(&form["code"]).ok_or_else(refused)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
        if challenge != code.challenge || form["redirect_uri"] != code.redirect_uri {
            return Err(refused());
        }
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": self.user["sub"], "nonce": code.nonce,
            "iat": now, "exp": now + 300,
        });
        if self.is_in_token {
            for (name, value) in self.user.as_object().unwrap() {
                claims[name] = value.clone();
            }
        }
        for (name, value) in &self.claims {
            claims[*name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(*name);
            }
        }
        let key = if self.is_forged {
            new_key()
        } else {
            Arc::clone(&self.key)
        };
        Ok(json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": sign(&key, &claims),
        }))
    }
}

fn new_key() -> Arc<EcdsaKeyPair> {
    Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

fn sign(key: &EcdsaKeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "1" });
    let text = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn answer(State(told): State<Arc<Mutex<Told>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let header = |name| {
        parts
            .headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let mut told = told.lock().unwrap();
    if let Some((status, body)) = told.answers.get(parts.uri.path()) {
        return (*status, Json(body.clone())).into_response();
    }
    let with_token = header(AUTHORIZATION.as_str()) == format!("Bearer {ACCESS_TOKEN}");
    let answer = match parts.uri.path() {
        "/.well-known/openid-configuration" => told.metadata(),
        "/jwks" => told.keys(),
        "/token" => {
            let encode =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let expected = STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET)));
            if header(AUTHORIZATION.as_str()) != format!("Basic {expected}") {
                let error = json!({ "error": "invalid_client" });
                return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
            }
            match told.tokens(&form) {
                Ok(tokens) => tokens,
                Err(error) => return (StatusCode::BAD_REQUEST, Json(error)).into_response(),
            }
        }
        "/userinfo" if with_token => told.user.clone(),
        // The rest is for GitHub.
        "/login/oauth/access_token" => {
            assert_eq!(header("accept"), "application/json");
            if form["client_id"] != CLIENT || form["client_secret"] != SECRET {
                json!({ "error": "incorrect_client_credentials" })
            } else if told.tokens(&form).is_err() {
                json!({ "error": "bad_verification_code" })
            } else {
                json!({ "access_token": ACCESS_TOKEN, "scope": "user:email", "token_type": "bearer" })
            }
        }
        "/api/v3/user" if with_token => {
            let id = told.user["sub"].as_str().unwrap().parse::<u64>().unwrap();
            json!({ "login": "ada", "id": id, "email": "what.anybody@can.write" })
        }
        "/api/v3/user/emails" if with_token => {
            let Value::Object(user) = &told.user else {
                unreachable!()
            };
            json!([
                { "email": "other@example.com", "primary": false, "verified": true },
                { "email": user["email"], "primary": true, "verified": user["email_verified"] },
            ])
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    Json(answer).into_response()
}
