//! A replay store that is unavailable, slow or full: 503, never a pass and never a refusal.

use std::time::Duration;

use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::dpop::{Dpop, MemoryReplays, ReplayEntry, ReplayStore};
use tower_jwt_auth::sessions::{MemorySessions, SessionErrorKind};
use tower_jwt_auth::store::StoreError;

use super::support::{ADDRESS, ORDERS, World, get_orders, send, with_bearer};

#[derive(Debug, Clone, Copy)]
enum Broken {
    Down,
    Hangs,
}

impl ReplayStore for Broken {
    async fn insert(&self, _: ReplayEntry) -> Result<bool, StoreError> {
        match self {
            Self::Down => Err(StoreError::new("down")),
            Self::Hangs => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_replay_store_is_a_503() {
    let world = World::new();
    let token = world.bound_token().await;
    let full = MemoryReplays::with_capacity(0);
    let builders = [
        Dpop::builder(ADDRESS, Broken::Down),
        Dpop::builder(ADDRESS, Broken::Hangs).store_timeout(Duration::from_millis(5)),
        Dpop::builder(ADDRESS, full),
    ];
    let store = MemorySessions::new();
    let sessions = Sessions::builder(&world.tokens, store.clone())
        .build()
        .unwrap();
    for builder in builders {
        let dpop = builder.clock(world.clock.clone()).build().unwrap();
        let layer = JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop.clone());
        let proof = world.proof("GET", ORDERS).token(&token).sign();
        let answer = send(&layer, get_orders("DPoP", &token, &proof)).await;
        assert_eq!(answer.told(), "503 unavailable");
        assert_eq!(answer.header("retry-after"), ["1"]);
        assert!(answer.header("www-authenticate").is_empty());
        // Requests that do not need the store are not affected.
        let bearer = send(&layer, with_bearer(&world.unbound_token())).await;
        assert_eq!(bearer.status, 200);
        let bad = send(&layer, get_orders("DPoP", &token, "nonsense")).await;
        assert_eq!(bad.told(), "401 malformed_proof");

        let proof = super::sessions::proof_of(&world, &dpop, &world.key);
        let error = sessions
            .open("alice")
            .dpop(&proof)
            .issue()
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), SessionErrorKind::Unavailable);
        assert_eq!(error.status(), 503);
        assert!(store.is_empty(), "nothing was opened");
    }
}
