//! A service behind a layer that checks proofs, and a client with a key.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::dpop::{Dpop, DpopBuilder, MemoryReplays};
use tower_jwt_auth::testing::{ProofKey, ProofRequest};
use tower_jwt_auth::{Algorithm, AuthError, JwtAuthLayer, SigningKey, TokenIssuer, VerifiedToken};

pub const ADDRESS: &str = "https://api.example";
pub const ORDERS: &str = "https://api.example/orders";

pub struct World {
    pub clock: ManualClock,
    pub tokens: TokenIssuer,
    pub key: ProofKey,
}

/// The response of a service.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The binding that the handler received, or the reason of the refusal.
    pub told: String,
    pub headers: HeaderMap,
}

impl World {
    pub fn new() -> Self {
        Self::with_key(Algorithm::EdDSA)
    }

    pub fn with_key(algorithm: Algorithm) -> Self {
        let (builder, clock) = crate::support::builder();
        Self {
            clock,
            tokens: builder.build().unwrap(),
            key: ProofKey::generate(algorithm).unwrap(),
        }
    }

    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub fn builder(&self) -> DpopBuilder {
        Dpop::builder(ADDRESS, MemoryReplays::new()).clock(self.clock.clone())
    }

    pub fn dpop(&self) -> Dpop {
        self.builder().build().unwrap()
    }

    pub fn layer(&self) -> JwtAuthLayer {
        JwtAuthLayer::new(self.tokens.verifier()).dpop(self.dpop())
    }

    /// A proof for a request without a token.
    pub fn proof(&self, method: &str, address: &str) -> ProofRequest<'_> {
        self.key.proof(method, address).issued_at(self.now())
    }

    /// A token that is bound to the key.
    pub async fn bound_token(&self) -> String {
        self.bound_to(&self.key).await
    }

    pub async fn bound_to(&self, key: &ProofKey) -> String {
        let dpop = self.dpop();
        let proof = key.proof("POST", "https://api.example/token");
        let proof = proof.issued_at(self.now()).sign();
        let request = Request::post("/token")
            .header("DPoP", proof)
            .body(())
            .unwrap();
        let proof = dpop.verify_proof(request.method(), request.uri(), request.headers());
        let proof = proof.unwrap();
        proof.mark_used().await.unwrap();
        self.tokens.access("alice").dpop(&proof).issue().unwrap()
    }

    pub fn unbound_token(&self) -> String {
        self.tokens.access("alice").issue().unwrap()
    }
}

/// Sends a request through a layer.
pub async fn send(layer: &JwtAuthLayer, request: Request<()>) -> Answer {
    let handler = service_fn(async |request: Request<()>| {
        let token = request.extensions().get::<VerifiedToken>();
        let told = token.map_or("nobody".into(), |token| format!("{:?}", token.binding()));
        Ok::<_, std::convert::Infallible>(Response::new(told))
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let error = parts.extensions.get::<AuthError>();
    Answer {
        status: parts.status.as_u16(),
        told: error.map_or(body, |error| error.reason().to_owned()),
        headers: parts.headers,
    }
}

/// `GET /orders` with a token and a proof.
pub fn get_orders(scheme: &str, token: &str, proof: &str) -> Request<()> {
    let request = Request::get("/orders").header("Authorization", format!("{scheme} {token}"));
    request.header("DPoP", proof).body(()).unwrap()
}

pub fn with_bearer(token: &str) -> Request<()> {
    let request = Request::get("/orders").header("Authorization", format!("Bearer {token}"));
    request.body(()).unwrap()
}

impl Answer {
    /// The status, and the reason or the binding.
    pub fn told(&self) -> String {
        format!("{} {}", self.status, self.told)
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }
}

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn hs256() -> SigningKey {
    SigningKey::generate(Algorithm::HS256).unwrap()
}
