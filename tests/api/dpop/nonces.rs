//! Nonces between a client and nodes that share a secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::dpop::{
    DEFAULT_NONCE_PERIOD, Dpop, DpopNonces, MemoryReplays, ReplayEntry, ReplayStore as _,
};

use super::support::{ADDRESS, Answer, ORDERS, World, get_orders, send};
use crate::support::SECRET;

fn node(world: &World) -> JwtAuthLayer {
    let nonces = DpopNonces::new(SECRET).unwrap();
    let dpop = world.builder().nonces(nonces).build().unwrap();
    JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop)
}

async fn ask(world: &World, node: &JwtAuthLayer, token: &str, nonce: Option<&str>) -> Answer {
    let mut proof = world.proof("GET", ORDERS).token(token);
    if let Some(nonce) = nonce {
        proof = proof.nonce(nonce);
    }
    send(node, get_orders("DPoP", token, &proof.sign())).await
}

fn nonce_in(answer: &Answer) -> Option<String> {
    let nonces = answer.header("dpop-nonce");
    assert!(nonces.len() <= 1);
    nonces.first().map(|nonce| (*nonce).to_owned())
}

#[tokio::test]
async fn a_nonce_is_requested_renewed_and_valid_on_each_node() {
    let world = World::new();
    let (a, b) = (node(&world), node(&world));
    let token = world.bound_token().await;
    let first = ask(&world, &a, &token, None).await;
    assert_eq!(first.told(), "401 nonce_missing");
    assert_eq!(
        first.header("access-control-expose-headers"),
        ["DPoP-Nonce, WWW-Authenticate"]
    );
    let nonce = nonce_in(&first).unwrap();

    for node in [&a, &b] {
        let answer = ask(&world, node, &token, Some(&nonce)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(nonce_in(&answer), None, "the client has the newest one");
    }
    // In the next period the nonce is still valid, and the response has the next one.
    world.clock.advance(DEFAULT_NONCE_PERIOD);
    let token = world.bound_token().await;
    let answer = ask(&world, &b, &token, Some(&nonce)).await;
    assert_eq!(answer.status, 200);
    let next = nonce_in(&answer).unwrap();
    assert_ne!(next, nonce);
    assert_eq!(
        answer.header("access-control-expose-headers"),
        ["DPoP-Nonce, WWW-Authenticate"]
    );
    let answer = ask(&world, &a, &token, Some(&next)).await;
    assert_eq!((answer.status, nonce_in(&answer)), (200, None));
    // In the period after that, it has expired.
    world.clock.advance(DEFAULT_NONCE_PERIOD);
    let answer = ask(&world, &a, &token, Some(&nonce)).await;
    assert_eq!(answer.told(), "401 nonce_expired");
    assert!(nonce_in(&answer).is_some_and(|other| other != nonce && other != next));
}

/// RFC 9449 section 11.1: the nonce says how old a proof is.
#[tokio::test]
async fn a_client_whose_clock_is_wrong_by_a_day_gets_in_with_a_nonce() {
    let world = World::new();
    let node = node(&world);
    let token = world.bound_token().await;
    let nonce = nonce_in(&ask(&world, &node, &token, None).await).unwrap();
    let day = Duration::from_secs(86_400);
    for time in [world.now() - day, world.now() + day] {
        let proof = world.proof("GET", ORDERS).token(&token).issued_at(time);
        let proof = proof.nonce(&nonce).sign();
        let answer = send(&node, get_orders("DPoP", &token, &proof)).await;
        assert_eq!(answer.status, 200, "{}", answer.told());
        let answer = send(&node, get_orders("DPoP", &token, &proof)).await;
        assert_eq!(answer.told(), "401 proof_replayed");
    }
}

#[tokio::test]
async fn a_used_proof_is_known_until_its_nonce_has_expired_everywhere() {
    let world = World::new();
    let replays = MemoryReplays::new();
    let node = |clock: ManualClock| {
        let nonces = DpopNonces::new(SECRET).unwrap();
        let dpop = Dpop::builder(ADDRESS, replays.clone()).nonces(nonces);
        let dpop = dpop.clock(clock).build().unwrap();
        JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop)
    };
    let behind = ManualClock::at_now();
    let (here, other) = (node(world.clock.clone()), node(behind.clone()));
    let token = world.bound_token().await;
    let nonce = nonce_in(&ask(&world, &here, &token, None).await).unwrap();
    // By a client whose clock is a day behind.
    let made = world.now() - Duration::from_secs(86_400);
    let proof = world.proof("GET", ORDERS).token(&token).issued_at(made);
    let proof = proof.nonce(&nonce).sign();
    let replay = async |node: &JwtAuthLayer| {
        let answer = send(node, get_orders("DPoP", &token, &proof)).await;
        answer.told()
    };
    assert!(replay(&here).await.starts_with("200"));
    // Each request with another proof makes the store forget what is over.
    let step = Duration::from_secs(10);
    let mut told = Vec::new();
    for _ in 0..60 {
        world.clock.advance(step);
        behind.set(world.now() - Duration::from_secs(30));
        for number in 0..32 {
            let now = as_micros(world.now());
            let entry = ReplayEntry::new([number; 32], now, now + 1);
            replays.insert(entry).await.unwrap();
        }
        told.push((replay(&here).await, replay(&other).await));
    }
    let expected = ["401 proof_replayed", "401 nonce_expired"];
    for (here, other) in &told {
        assert!(expected.contains(&here.as_str()), "{here}");
        assert!(expected.contains(&other.as_str()), "{other}");
    }
    let expired = "401 nonce_expired".to_owned();
    assert_eq!(told.last(), Some(&(expired.clone(), expired)));
}

fn as_micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

#[tokio::test]
async fn a_refused_proof_says_nothing_about_nonces() {
    let world = World::new();
    let node = node(&world);
    let token = world.bound_token().await;
    let proof = world.proof("POST", ORDERS).token(&token).sign();
    let answer = send(&node, get_orders("DPoP", &token, &proof)).await;
    assert_eq!(answer.told(), "401 proof_for_other_method");
    assert_eq!(nonce_in(&answer), None);
}

#[tokio::test]
async fn a_route_without_a_token_asks_for_a_nonce_as_well() {
    let world = World::new();
    let nonces = DpopNonces::new(SECRET).unwrap();
    let dpop = world.builder().nonces(nonces).build().unwrap();
    let check = |nonce: Option<&str>| {
        let mut proof = world.proof("POST", "https://api.example/login");
        if let Some(nonce) = nonce {
            proof = proof.nonce(nonce);
        }
        let request = Request::post("/login")
            .header("DPoP", proof.sign())
            .body(())
            .unwrap();
        dpop.verify_proof(request.method(), request.uri(), request.headers())
    };
    let error = check(None).unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "use_dpop_nonce")
    );
    assert!(error.body().contains(r#""error":"use_dpop_nonce""#));
    let headers = error.headers();
    let nonce = headers["dpop-nonce"].to_str().unwrap();
    let proof = check(Some(nonce)).unwrap();
    assert!(proof.response_headers().is_empty());
    world.clock.advance(DEFAULT_NONCE_PERIOD);
    let proof = check(Some(nonce)).unwrap();
    assert_ne!(
        proof.response_headers()["dpop-nonce"].to_str().unwrap(),
        nonce
    );
}
