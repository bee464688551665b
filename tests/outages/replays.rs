//! The store of used DPoP proofs.

use std::sync::Arc;

use http::Request;
use tower_jwt_auth::dpop::{Dpop, DpopNonces, MemoryReplays, ReplayEntry, ReplayStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::testing::ProofKey;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer};

use crate::log;
use crate::remote::Fault;
use crate::seen::Seen;
use crate::switch::Switch;
use crate::table::Table;

const FAULTS: [Fault; 3] = [Fault::Down, Fault::Silent, Fault::Slow];
const ADDRESS: &str = "https://api.example/orders";
const SECRET: &[u8] = b"\x3d\x91\x0c\x5a\xe7\x33\xb8\x4d\xf1\x26\xc9\x70\x1e\xa5\x88\x42\xdb\
\x07\xf6\x3b\x94\x6e\xd0\x15\xac\x59\xe3\x80\x2f\xc7\x61\xba";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Bound,
    BoundWithUsedProof,
    BoundWithForeignProof,
    BoundWithoutProof,
    Bearer,
}

/// A store in memory that can be out of order.
#[derive(Debug, Clone)]
struct Store {
    proofs: Arc<MemoryReplays>,
    switch: Switch,
}

// === impl Token ===

impl Token {
    const ALL: [Self; 5] = [
        Self::Bound,
        Self::BoundWithUsedProof,
        Self::BoundWithForeignProof,
        Self::BoundWithoutProof,
        Self::Bearer,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound to a key, with a new proof",
            Self::BoundWithUsedProof => "bound to a key, with a proof that was used before",
            Self::BoundWithForeignProof => "bound to a key, with a proof by another key",
            Self::BoundWithoutProof => "bound to a key, sent as a bearer token",
            Self::Bearer => "a bearer token",
        }
    }

    /// Returns the status when all is well.
    fn usual(self) -> u16 {
        match self {
            Self::Bound | Self::Bearer => 200,
            _ => 401,
        }
    }
}

// === impl Store ===

impl ReplayStore for Store {
    async fn insert(&self, entry: ReplayEntry) -> Result<bool, StoreError> {
        self.switch.pass().await?;
        self.proofs.insert(entry).await
    }
}

/// Asks once during the outage and once after it.
async fn ask(token: Token, fault: Fault) -> Seen {
    let store = Store {
        proofs: Arc::new(MemoryReplays::new()),
        switch: Switch::default(),
    };
    let dpop = Dpop::builder("https://api.example", store.clone())
        .nonces(DpopNonces::new(SECRET).unwrap())
        .build()
        .unwrap();
    let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA).unwrap())
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    let [key, other] = [(); 2].map(|()| ProofKey::generate(Algorithm::ES256).unwrap());
    let nonce = nonce(&dpop, &key);
    let login =
        Request::get(ADDRESS).header("dpop", key.proof("GET", ADDRESS).nonce(&nonce).sign());
    let login = login.body(()).unwrap();
    let login = dpop.verify_proof(login.method(), login.uri(), login.headers());
    let login = login.unwrap();
    login.mark_used().await.unwrap();
    let bound = tokens.access("alice").dpop(&login).issue().unwrap();
    let layer = JwtAuthLayer::new(tokens.verifier()).dpop(dpop);
    let proof = |key: &ProofKey| {
        let proof = key.proof("GET", ADDRESS).token(&bound).nonce(&nonce);
        proof.sign()
    };
    let used = proof(&key);
    let request = || {
        let request = Request::get(ADDRESS);
        let with = |proof| {
            let request = Request::get(ADDRESS).header("authorization", format!("DPoP {bound}"));
            request.header("dpop", proof)
        };
        let request = match token {
            Token::Bound => with(proof(&key)),
            Token::BoundWithUsedProof => with(used.clone()),
            Token::BoundWithForeignProof => with(proof(&other)),
            Token::BoundWithoutProof => request.header("authorization", format!("Bearer {bound}")),
            Token::Bearer => {
                let bearer = tokens.access("alice").issue().unwrap();
                request.header("authorization", format!("Bearer {bearer}"))
            }
        };
        request.body(()).unwrap()
    };
    if token == Token::BoundWithUsedProof {
        assert_eq!(Seen::of(&layer, request()).await.status, 200);
    }
    store.switch.set(Some(fault));
    let seen = Seen::of(&layer, request()).await;
    store.switch.set(None);
    let after = Seen::of(&layer, request()).await;
    assert_eq!(after.status, token.usual(), "{token:?} {fault:?}");
    seen
}

/// The newest nonce.
fn nonce(dpop: &Dpop, key: &ProofKey) -> String {
    let request = Request::get(ADDRESS).header("dpop", key.proof("GET", ADDRESS).sign());
    let request = request.body(()).unwrap();
    let error = dpop.verify_proof(request.method(), request.uri(), request.headers());
    let headers = error.unwrap_err().headers();
    headers["dpop-nonce"].to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn outages_of_a_replay_store_look_as_the_guide_says() {
    log::record();
    let mut table = Table::default();
    for token in Token::ALL {
        for fault in FAULTS {
            let seen = ask(token, fault).await;
            table.add((token.name(), "503", fault), seen, token.usual(), false);
        }
    }
    table.compare();
}
