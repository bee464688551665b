//! Sessions that are bound to a key.

use std::sync::{Arc, Mutex};

use http::Request;
use tower_jwt_auth::dpop::{Dpop, DpopProof};
use tower_jwt_auth::issuer::IssueError;
use tower_jwt_auth::sessions::{EndReason, MemorySessions, SessionErrorKind};
use tower_jwt_auth::testing::ProofKey;
use tower_jwt_auth::{Algorithm, Sessions};

use super::support::{ORDERS, World, get_orders, send, with_bearer};

/// A proof that the client makes for the route that issues tokens.
pub fn proof_of(world: &World, dpop: &Dpop, key: &ProofKey) -> DpopProof {
    let proof = key.proof("POST", "https://api.example/token");
    let proof = proof.issued_at(world.now()).sign();
    let request = Request::post("/token")
        .header("DPoP", proof)
        .body(())
        .unwrap();
    dpop.verify_proof(request.method(), request.uri(), request.headers())
        .unwrap()
}

struct House {
    world: World,
    dpop: Dpop,
    sessions: Sessions,
    told: Arc<Mutex<Vec<String>>>,
}

impl House {
    fn new() -> Self {
        let world = World::new();
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let sessions = Sessions::builder(&world.tokens, MemorySessions::new())
            .on_event(move |event| log.lock().unwrap().push(event.name().to_owned()))
            .build()
            .unwrap();
        Self {
            dpop: world.dpop(),
            world,
            sessions,
            told,
        }
    }

    fn proof(&self) -> DpopProof {
        proof_of(&self.world, &self.dpop, &self.world.key)
    }

    fn proof_of_thief(&self) -> DpopProof {
        let key = ProofKey::generate(Algorithm::ES256).unwrap();
        proof_of(&self.world, &self.dpop, &key)
    }

    async fn refresh(
        &self,
        token: &str,
        proof: Option<&DpopProof>,
    ) -> Result<tower_jwt_auth::issuer::TokenPair, SessionErrorKind> {
        let refresh = self.sessions.refresh(token).await;
        let refresh = refresh.map_err(|error| error.kind().clone())?;
        let refreshed = refresh.dpop(proof).issue().await;
        let refreshed = refreshed.map_err(|error| error.kind().clone())?;
        Ok(refreshed.tokens)
    }

    async fn is_good(&self, access_token: &str) -> bool {
        let proof = self.world.proof("GET", ORDERS).token(access_token).sign();
        let answer = send(
            &self.world.layer(),
            get_orders("DPoP", access_token, &proof),
        )
        .await;
        answer.status == 200
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

#[tokio::test]
async fn both_tokens_of_a_session_are_bound_and_stay_so() {
    let house = House::new();
    let mut pair = house
        .sessions
        .open("alice")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(pair.token_type, "DPoP");
        assert!(house.is_good(&pair.access_token).await);
        let answer = send(&house.world.layer(), with_bearer(&pair.access_token)).await;
        assert_eq!(answer.told(), "401 bound_token");
        pair = house
            .refresh(&pair.refresh_token, Some(&house.proof()))
            .await
            .unwrap();
    }
    assert!(house.events().iter().all(|name| name == "session_opened"));
}

#[tokio::test]
async fn the_list_of_sessions_tells_which_are_bound() {
    let house = House::new();
    let bound = house.sessions.open("alice").label("bound");
    let pair = bound.dpop(&house.proof()).issue().await.unwrap();
    let unbound = house.sessions.open("alice").label("unbound");
    let unbound = unbound.issue().await.unwrap();
    let proof = house.proof();
    let pair = house.refresh(&pair.refresh_token, Some(&proof));
    pair.await.unwrap();
    // The access token of this one is bound, and the session is not.
    let proof = house.proof();
    let refreshed = house.refresh(&unbound.refresh_token, Some(&proof));
    assert_eq!(refreshed.await.unwrap().token_type, "DPoP");
    let listed = house.sessions.list("alice").await.unwrap();
    let mut told: Vec<_> = listed
        .iter()
        .map(|session| (session.label.as_deref(), session.is_bound))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(Some("bound"), true), (Some("unbound"), false)]);
}

#[tokio::test]
async fn a_refresh_without_a_proof_is_refused_and_ends_nothing() {
    let house = House::new();
    let pair = house
        .sessions
        .open("alice")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    house.events();
    for _ in 0..3 {
        let refused = house.refresh(&pair.refresh_token, None).await.unwrap_err();
        assert_eq!(refused, SessionErrorKind::ProofRequired);
        assert_eq!(house.events(), ["refresh_without_proof"]);
    }
    let error = house
        .sessions
        .refresh(&pair.refresh_token)
        .await
        .unwrap()
        .issue()
        .await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "invalid_dpop_proof")
    );
    house
        .refresh(&pair.refresh_token, Some(&house.proof()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refresh_with_another_key_ends_the_session() {
    let house = House::new();
    let pair = house
        .sessions
        .open("alice")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    let other = house
        .sessions
        .open("alice")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    house.events();
    let thief = house.proof_of_thief();
    let refused = house
        .refresh(&pair.refresh_token, Some(&thief))
        .await
        .unwrap_err();
    assert_eq!(refused, SessionErrorKind::KeyMismatch);
    assert_eq!(house.events(), ["refresh_key_mismatch"]);
    let over = house
        .refresh(&pair.refresh_token, Some(&house.proof()))
        .await
        .unwrap_err();
    assert_eq!(over, SessionErrorKind::Ended(EndReason::ReuseDetected));
    // Only this session.
    house
        .refresh(&other.refresh_token, Some(&house.proof()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_proof_is_used_for_one_session() {
    let house = House::new();
    let proof = house.proof();
    let copy = {
        // The same proof, which somebody has intercepted.
        let text = house
            .world
            .proof("POST", "https://api.example/token")
            .claim("jti", "1")
            .sign();
        move || {
            let request = Request::post("/token")
                .header("DPoP", text.clone())
                .body(())
                .unwrap();
            house
                .dpop
                .verify_proof(request.method(), request.uri(), request.headers())
                .unwrap()
        }
    };
    let pair = house
        .sessions
        .open("alice")
        .dpop(&copy())
        .issue()
        .await
        .unwrap();
    let replayed = house
        .sessions
        .open("alice")
        .dpop(&copy())
        .issue()
        .await
        .unwrap_err();
    assert_eq!(
        (replayed.status().as_u16(), replayed.code()),
        (400, "invalid_dpop_proof")
    );
    assert_eq!(house.sessions.list("alice").await.unwrap().len(), 1);
    let refresh = house.sessions.refresh(&pair.refresh_token).await.unwrap();
    refresh.dpop(&copy()).issue().await.unwrap_err();
    let refresh = house.sessions.refresh(&pair.refresh_token).await.unwrap();
    assert!(!proof_is_used(&proof));
    refresh.dpop(&proof).issue().await.unwrap();
    assert!(proof_is_used(&proof));
}

fn proof_is_used(proof: &DpopProof) -> bool {
    format!("{proof:?}").contains("is_used: true")
}

#[tokio::test]
async fn an_unbound_session_may_get_a_bound_access_token() {
    let house = House::new();
    let pair = house.sessions.open("alice").issue().await.unwrap();
    assert_eq!(pair.token_type, "Bearer");
    let next = house
        .refresh(&pair.refresh_token, Some(&house.proof()))
        .await
        .unwrap();
    assert_eq!(next.token_type, "DPoP");
    assert!(house.is_good(&next.access_token).await);
    let last = house.refresh(&next.refresh_token, None).await.unwrap();
    assert_eq!(last.token_type, "Bearer");
}

#[tokio::test]
async fn a_refresh_that_cannot_succeed_uses_no_proof() {
    let house = House::new();
    let pair = house
        .sessions
        .open("alice")
        .scope("a")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    let proof = house.proof();
    let refresh = house.sessions.refresh(&pair.refresh_token).await.unwrap();
    let error = refresh
        .dpop(&proof)
        .scopes(["b"])
        .issue()
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), SessionErrorKind::InvalidScope);
    assert!(!proof_is_used(&proof));
    house
        .refresh(&pair.refresh_token, Some(&proof))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_single_token_is_bound_by_a_proof_that_was_used() {
    let house = House::new();
    let tokens = &house.world.tokens;
    let proof = house.proof();
    let error = tokens.access("alice").dpop(&proof).issue().unwrap_err();
    assert_eq!(error, IssueError::ProofNotMarkedUsed);
    proof.mark_used().await.unwrap();
    proof.mark_used().await.unwrap();
    let token = tokens.access("alice").dpop(&proof).issue().unwrap();
    assert!(house.is_good(&token).await);
    let pair = tokens.pair("alice").dpop(&proof).issue().unwrap();
    assert_eq!(pair.token_type, "DPoP");
    let unbound = tokens.access("alice").dpop(None).issue().unwrap();
    assert_eq!(
        send(&house.world.layer(), with_bearer(&unbound))
            .await
            .status,
        200
    );
    let reserved = tokens.access("alice").claim("cnf", 1).issue().unwrap_err();
    assert_eq!(reserved, IssueError::ReservedClaim("cnf".into()));
}

#[tokio::test]
async fn concurrent_refreshes_of_a_bound_session_converge() {
    let house = House::new();
    let pair = house
        .sessions
        .open("alice")
        .dpop(&house.proof())
        .issue()
        .await
        .unwrap();
    let a = house
        .refresh(&pair.refresh_token, Some(&house.proof()))
        .await
        .unwrap();
    let b = house
        .refresh(&pair.refresh_token, Some(&house.proof()))
        .await
        .unwrap();
    assert_eq!(a.refresh_token, b.refresh_token);
    assert!(house.is_good(&b.access_token).await);
}
