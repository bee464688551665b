//! A scripted provider, without a network.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower_jwt_auth::jwks::{BoxError, HttpClient, RemoteJwks};
use tower_jwt_auth::verifier::TokenVerifierBuilder;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer, TokenVerifier};

pub const ISSUER: &str = "https://idp.example";
pub const KEYS: &str = "https://idp.example/jwks";

/// The keys that the provider may publish, and a token for each. The last two have the ids of the first two,
/// as their replacements.
pub static KEYRING: LazyLock<Vec<Key>> = LazyLock::new(|| (0..6).map(Key::new).collect());

pub struct Key {
    pub signing: SigningKey,
    pub token: String,
}

impl Key {
    fn new(number: usize) -> Self {
        let signing = SigningKey::generate(Algorithm::EdDSA)
            .unwrap()
            .with_key_id(format!("key-{}", number % 4))
            .unwrap();
        let token = token_of(signing.clone());
        Self { signing, token }
    }

    pub fn jwk(&self) -> Value {
        self.signing.verifying_key().to_jwk().unwrap()
    }
}

pub fn token_of(key: SigningKey) -> String {
    token_from(ISSUER, key)
}

fn token_from(issuer: &str, key: SigningKey) -> String {
    let tokens = TokenIssuer::builder(key)
        .issuer(issuer)
        .audience("api")
        .build()
        .unwrap();
    // For a pattern of issuers, in which the tenant is a variable part.
    tokens
        .access("alice")
        .claim("tld", "example")
        .issue()
        .unwrap()
}

/// A token with a key id that does not exist.
pub fn bogus(kid: &str) -> String {
    bogus_of(ISSUER, kid)
}

/// A token of this issuer with a key id that does not exist.
pub fn bogus_of(issuer: &str, kid: &str) -> String {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    token_from(issuer, key.with_key_id(kid).unwrap())
}

/// A key without an id, and a token that names no key.
pub fn nameless(seed: u8) -> (Value, String) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ed25519_dalek::Signer as _;

    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key());
    let payload = KEYRING[0].token.split('.').nth(1).unwrap();
    let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    (jwk, format!("{message}.{signature}"))
}

/// How the provider responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Good,
    Refuse,
    Hang,
    Status(u16),
    Redirect,
    Garbage,
    Huge,
    NoKeys,
    TooManyKeys,
    OtherIssuer,
    KeysElsewhere,
    /// The issuer's metadata instead of its keys.
    MetadataAsKeys,
    /// There is no metadata.
    NoMetadata(u16),
    /// An HTML page instead of the metadata.
    MetadataIsPage,
    IssuerWithSlash,
    /// The HTTP client panics.
    Panic,
    /// The address of OpenID Connect returns a page, and that of RFC 8414 the metadata.
    PageFirst,
}

#[derive(Debug, Clone)]
pub struct Provider {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub struct State {
    pub published: Vec<Value>,
    pub mode: Mode,
    pub cache_control: Option<String>,
    pub delay: Duration,
    pub tagged: bool,
    /// Each fetch of the keys.
    pub fetches: Vec<Fetch>,
    pub metadata_fetches: usize,
}

#[derive(Debug, Clone)]
pub struct Fetch {
    pub began: Instant,
    pub ended: Option<Instant>,
    /// The keys that were served, if it was a good response.
    pub served: Option<Vec<Value>>,
    pub not_modified: bool,
    /// The caching headers of the response.
    pub cache_control: Option<String>,
}

// === impl Provider ===

impl Provider {
    /// Publishes these keys of the ring.
    pub fn new(published: &[usize]) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                published: published
                    .iter()
                    .map(|&number| KEYRING[number].jwk())
                    .collect(),
                mode: Mode::Good,
                cache_control: None,
                delay: Duration::ZERO,
                tagged: false,
                fetches: Vec::new(),
                metadata_fetches: 0,
            })),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn publish(&self, numbers: &[usize]) {
        self.state().published = numbers
            .iter()
            .map(|&number| KEYRING[number].jwk())
            .collect();
    }

    pub fn fetches(&self) -> usize {
        self.state().fetches.len()
    }

    /// Its keys, from their address.
    pub fn keys(&self) -> RemoteJwks {
        RemoteJwks::builder_at(KEYS)
            .client(self.clone())
            .build()
            .unwrap()
    }

    pub fn discovered(&self) -> RemoteJwks {
        RemoteJwks::builder(ISSUER)
            .client(self.clone())
            .build()
            .unwrap()
    }

    fn answer_keys(&self, request: &Request<String>) -> Result<Response<Vec<u8>>, BoxError> {
        let state = self.state();
        let text = json!({ "keys": state.published }).to_string();
        let tag =
            HeaderValue::from_str(&format!("\"{}\"", text.len() + state.published.len())).unwrap();
        let mut response = Response::new(match state.mode {
            Mode::Garbage => b"<html>we are upgrading</html>".to_vec(),
            Mode::Huge => vec![b' '; 512 * 1024 + 1],
            Mode::NoKeys => br#"{"keys":[]}"#.to_vec(),
            Mode::MetadataAsKeys => br#"{"issuer":"x","jwks_uri":"y"}"#.to_vec(),
            Mode::TooManyKeys => {
                let keys: Vec<&Value> = state.published.iter().cycle().take(101).collect();
                json!({ "keys": keys }).to_string().into_bytes()
            }
            _ => text.into_bytes(),
        });
        match state.mode {
            Mode::Status(status) => *response.status_mut() = StatusCode::from_u16(status).unwrap(),
            Mode::Redirect => {
                *response.status_mut() = StatusCode::FOUND;
                let location = HeaderValue::from_static("https://evil.example/jwks");
                response.headers_mut().insert(LOCATION, location);
            }
            _ => {}
        }
        if let Some(value) = &state.cache_control {
            let value = HeaderValue::from_str(value).unwrap();
            response.headers_mut().insert(CACHE_CONTROL, value);
        }
        if state.tagged && state.mode == Mode::Good {
            if request.headers().get(IF_NONE_MATCH) == Some(&tag) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.body_mut().clear();
            }
            response.headers_mut().insert(ETAG, tag);
        }
        Ok(response)
    }

    fn answer_metadata(&self) -> Response<Vec<u8>> {
        let state = self.state();
        let (issuer, keys) = match state.mode {
            Mode::OtherIssuer => ("https://evil.example", KEYS),
            Mode::IssuerWithSlash => ("https://idp.example/", KEYS),
            Mode::KeysElsewhere => (ISSUER, "https://evil.example/jwks"),
            _ => (ISSUER, KEYS),
        };
        Response::new(
            json!({ "issuer": issuer, "jwks_uri": keys })
                .to_string()
                .into_bytes(),
        )
    }
}

impl HttpClient for Provider {
    async fn send(
        &self,
        request: Request<String>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        assert_eq!(
            request.uri().host(),
            Some("idp.example"),
            "no other host is asked"
        );
        let is_keys = request.uri().path() == "/jwks";
        let delay = {
            let mut state = self.state();
            if !is_keys {
                state.metadata_fetches += 1;
            } else {
                state.fetches.push(Fetch {
                    began: Instant::now(),
                    ended: None,
                    served: None,
                    not_modified: false,
                    cache_control: None,
                });
            }
            state.delay
        };
        sleep(delay).await;
        let mode = self.state().mode;
        match mode {
            Mode::Refuse => return Err("connection refused".into()),
            Mode::Hang => std::future::pending().await,
            Mode::Panic => panic!("as it was told to"),
            _ => {}
        }
        if !is_keys {
            if let Mode::NoMetadata(status) = mode {
                let mut response = Response::new(Vec::new());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                return Ok(response);
            }
            if mode == Mode::MetadataIsPage {
                return Ok(Response::new(b"<!doctype html><p>Log in".to_vec()));
            }
            return match request.uri().path() {
                "/.well-known/openid-configuration" if mode == Mode::PageFirst => {
                    Ok(Response::new(b"<html>an application</html>".to_vec()))
                }
                "/.well-known/oauth-authorization-server" if mode == Mode::PageFirst => {
                    Ok(self.answer_metadata())
                }
                "/.well-known/openid-configuration" => Ok(self.answer_metadata()),
                _ => {
                    let mut response = Response::new(Vec::new());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    Ok(response)
                }
            };
        }
        let response = self.answer_keys(&request)?;
        let mut state = self.state();
        let good = mode == Mode::Good || matches!(mode, Mode::OtherIssuer | Mode::KeysElsewhere);
        let keys = state.published.clone();
        let cache_control = state.cache_control.clone();
        let fetch = state.fetches.last_mut().unwrap();
        fetch.ended = Some(Instant::now());
        fetch.served = good.then_some(keys);
        fetch.cache_control = cache_control;
        fetch.not_modified = response.status() == StatusCode::NOT_MODIFIED;
        if response.body().len() > limit {
            return Err("the response is too long".into());
        }
        Ok(response)
    }
}

/// A verifier of its tokens.
pub fn verifier(keys: &RemoteJwks) -> TokenVerifier {
    verifier_builder(keys).issuer(ISSUER).build().unwrap()
}

pub fn verifier_builder(keys: &RemoteJwks) -> TokenVerifierBuilder {
    TokenVerifier::builder().remote_jwks(keys).audience("api")
}

/// What a client would see: `ok`, `401`, or `503`.
pub async fn verdict(verifier: &TokenVerifier, token: &str) -> String {
    match verifier.verify(token).await {
        Ok(verified) => {
            assert_eq!(verified.subject(), Some("alice"));
            "ok".into()
        }
        Err(error) => {
            assert_eq!(error.status() == 503, error.retry_after().is_some());
            error.status().as_u16().to_string()
        }
    }
}
