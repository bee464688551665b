//! [`ProofKey`]: the key of a client, which makes DPoP proofs for tests.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::random::name_of_run;
use crate::claims::NumericDate;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::keys::{Algorithm, SigningKey, sha256};

/// The key of a client, which makes DPoP proofs for tests of routes that check them.
///
/// ```
/// use http::{Method, Request};
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::dpop::{Dpop, MemoryReplays};
/// use tower_jwt_auth::testing::ProofKey;
///
/// let dpop = Dpop::builder("https://api.example", MemoryReplays::new()).build()?;
/// let client = ProofKey::generate(Algorithm::ES256)?;
/// let proof = client.proof("POST", "https://api.example/login").sign();
/// let request = Request::post("/login").header("DPoP", proof).body(())?;
///
/// let proof = dpop.verify_proof(request.method(), request.uri(), request.headers())?;
/// assert_eq!(proof.thumbprint(), client.thumbprint());
/// assert!(dpop.verify_proof(&Method::GET, request.uri(), request.headers()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProofKey {
    key: SigningKey,
    thumbprint: String,
}

/// A DPoP proof that is about to be signed. By default, it is valid for a request without a token.
#[derive(Debug, Clone)]
#[must_use = "no proof is made until `sign()`"]
pub struct ProofRequest<'k> {
    key: &'k ProofKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

// === impl ProofKey ===

impl ProofKey {
    /// Creates a new random key.
    ///
    /// # Errors
    ///
    /// Fails if the algorithm is symmetric, or if the system's random number generator fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        if algorithm.is_symmetric() {
            return Err(ConfigError::invalid(format!(
                "`{algorithm}` is symmetric: DPoP proofs need a key pair, such as one for ES256"
            )));
        }
        let key = SigningKey::generate(algorithm)?;
        let thumbprint = key.verifying_key().key_id().to_owned();
        Ok(Self { key, thumbprint })
    }

    /// Returns the thumbprint of the key (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns the public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = self.key.verifying_key().to_jwk().unwrap_or_default();
        if let Some(members) = jwk.as_object_mut() {
            members.retain(|name, _| !matches!(&**name, "kid" | "use" | "alg"));
        }
        jwk
    }

    /// Starts a proof for a request with this method to this address. Its time is now, and its id is unique.
    pub fn proof(&self, method: &str, address: &str) -> ProofRequest<'_> {
        let algorithm = self.key.algorithm().as_str();
        let header = [
            ("typ", json!("dpop+jwt")),
            ("alg", json!(algorithm)),
            ("jwk", self.jwk()),
        ];
        let proof = ProofRequest {
            key: self,
            header: header
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            claims: Map::new(),
        };
        proof
            .claim("jti", name_of_run())
            .claim("htm", method)
            .claim("htu", address)
            .issued_at(SystemClock.now())
    }
}

// === impl ProofRequest ===

impl ProofRequest<'_> {
    /// Makes this a proof for a request with this token (`ath`).
    pub fn token(self, token: &str) -> Self {
        let hash = sha256(token.as_bytes()).unwrap_or_default();
        self.claim("ath", URL_SAFE_NO_PAD.encode(hash))
    }

    /// Sets the nonce of the proof.
    pub fn nonce(self, nonce: &str) -> Self {
        self.claim("nonce", nonce)
    }

    /// Sets the time at which the proof is made.
    pub fn issued_at(self, time: SystemTime) -> Self {
        self.claim("iat", NumericDate::from(time).as_secs())
    }

    /// Sets a claim to any value. `null` removes it.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    /// Sets a member of the header to any value. `null` removes it.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        set(&mut self.header, name, value);
        self
    }

    /// Signs the proof with the key, whatever its header says.
    #[must_use]
    pub fn sign(&self) -> String {
        let encode = |part: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(Value::Object(part.clone()).to_string())
        };
        let message = format!("{}.{}", encode(&self.header), encode(&self.claims));
        let signature = self.key.key.sign(message.as_bytes()).unwrap_or_default();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: impl Serialize) {
    match serde_json::to_value(value).unwrap_or_default() {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
}
