//! [`BoundTokens`]: tokens that are worthless without the key of their client (DPoP, RFC 9449). `DPOP=false`
//! turns them off; `docs/bound-tokens.md` explains them.
//!
//! Proofs are checked in two places: beside a token by the layer in front of the routes
//! (`src/app/router.rs`), and where tokens are issued by the extractor [`Client`](super::Client).

use std::sync::{Arc, OnceLock};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use tower_jwt_auth::dpop::{Dpop, DpopError, DpopNonces, DpopProof};

use super::stores::Replays;
use crate::config::{Origin, Settings};
use crate::database::Database;
use crate::error::Error;
use crate::keys::shared_secret;

/// The name of the secret from which nonces are made. With nonces, the clock of a client does not matter, and
/// nobody can sign proofs in advance.
const NONCES: &str = "dpop nonces";

/// How proofs are checked, and the address that clients name in them.
#[derive(Debug, Clone)]
pub(crate) struct BoundTokens {
    dpop: Dpop,
    address: String,
}

/// Carries a newer nonce from the extractor that has found it to the response, whatever the response is.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewerNonce(Arc<OnceLock<HeaderMap>>);

// === impl BoundTokens ===

impl BoundTokens {
    /// Sets up bound tokens. Returns `None` if they are turned off. In development mode, also returns `None` if they
    /// cannot be used at the address of the service: plain http on another machine.
    pub(crate) async fn open(
        settings: &Settings,
        database: &Database,
        replays: &Replays,
    ) -> Result<Option<Self>, Error> {
        if !settings.sessions.dpop {
            return Ok(None);
        }
        let address = address(&settings.mail.public_url);
        let nonces = DpopNonces::new(shared_secret(database, NONCES).await?)?;
        match replays.dpop(&address).nonces(nonces).build() {
            Ok(dpop) => Ok(Some(Self { dpop, address })),
            Err(error) if settings.development => {
                tracing::warn!(%error, "tokens are not bound to keys here (DPOP)");
                Ok(None)
            }
            Err(error) => {
                let off = "or turn bound tokens off with DPOP=false";
                Err(format!("PUBLIC_URL: {error}, {off}").into())
            }
        }
    }

    pub(crate) fn dpop(&self) -> Dpop {
        self.dpop.clone()
    }

    /// Returns what clients put in front of the path, in the `htu` of a proof.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Verifies the proof of a request for tokens, if it has one. The proof is marked as used when the
    /// tokens are issued, so one that came with a wrong password can be sent again.
    pub(super) fn proof(&self, parts: &Parts) -> Result<Option<DpopProof>, DpopError> {
        if !Dpop::has_proof(&parts.headers) {
            return Ok(None);
        }
        let proof = self
            .dpop
            .verify_proof(&parts.method, &parts.uri, &parts.headers)?;
        if let Some(NewerNonce(newer)) = parts.extensions.get() {
            let _ = newer.set(proof.response_headers());
        }
        Ok(Some(proof))
    }
}

/// Returns the origin of the URL. Replaces an unspecified address such as `0.0.0.0`, to which nobody connects, with
/// that of this machine.
fn address(public_url: &str) -> String {
    let origin = Origin::parse(public_url);
    let address = origin.map_or_else(|| public_url.to_owned(), |origin| origin.to_string());
    address
        .replace("//0.0.0.0", "//127.0.0.1")
        .replace("//[::]", "//[::1]")
}

// === impl NewerNonce ===

impl NewerNonce {
    /// Puts the place for a nonce into a request that has a proof.
    pub(crate) fn expect<B>(request: &mut Request<B>) -> Option<Self> {
        let has_proof = Dpop::has_proof(request.headers());
        has_proof.then(|| {
            let place = Self::default();
            request.extensions_mut().insert(place.clone());
            place
        })
    }

    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        if let Some(newer) = self.0.get() {
            headers.extend(newer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_jwt_auth::Algorithm;
    use tower_jwt_auth::clock::ManualClock;
    use tower_jwt_auth::dpop::{DEFAULT_NONCE_PERIOD, MemoryReplays};
    use tower_jwt_auth::testing::ProofKey;

    use super::*;

    /// The nonce does not depend on what the response is about: a wrong password gets it as well.
    #[test]
    fn each_response_to_a_proof_tells_a_newer_nonce() {
        let clock = ManualClock::at_now();
        let nonces = DpopNonces::new(*b"0f9aB3kQ7sT1vX5zC8dE2gH4jL6mN0pR").unwrap();
        let dpop = Dpop::builder("https://app.test", MemoryReplays::new())
            .nonces(nonces)
            .clock(clock.clone())
            .build();
        let bound = BoundTokens {
            dpop: dpop.unwrap(),
            address: "https://app.test".to_owned(),
        };
        let key = ProofKey::generate(Algorithm::ES256).unwrap();
        let told = |nonce: Option<&str>| {
            let mut proof = key.proof("POST", "https://app.test/auth/login");
            if let Some(nonce) = nonce {
                proof = proof.nonce(nonce);
            }
            let request = Request::post("/auth/login").header("dpop", proof.sign());
            let mut request = request.body(()).unwrap();
            let place = NewerNonce::expect(&mut request).unwrap();
            let (parts, ()) = request.into_parts();
            let mut headers = HeaderMap::new();
            if let Err(error) = bound.proof(&parts) {
                headers.extend(error.headers());
            }
            place.add_to(&mut headers);
            let nonce = headers.get("dpop-nonce")?;
            Some(nonce.to_str().unwrap().to_owned())
        };
        let first = told(None).unwrap();
        assert_eq!(told(Some(&first)), None, "the client has the newest one");
        clock.advance(DEFAULT_NONCE_PERIOD);
        let second = told(Some(&first)).unwrap();
        assert_ne!(second, first);
        assert_eq!(told(Some(&second)), None);
        let mut request = Request::post("/auth/login").body(()).unwrap();
        assert!(NewerNonce::expect(&mut request).is_none(), "no proof");
    }

    #[test]
    fn a_proof_names_an_address_that_clients_connect_to() {
        for (public_url, expected) in [
            ("https://auth.example.com", "https://auth.example.com"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://localhost:80", "http://localhost"),
            ("http://0.0.0.0:3000", "http://127.0.0.1:3000"),
            ("http://[::]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(address(public_url), expected);
        }
    }
}
