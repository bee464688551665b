//! Used DPoP proofs in Redis.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::dpop::{Dpop, RedisReplays, ReplayEntry, ReplayStore};
use tower_jwt_auth::testing::{ProofKey, check_replay_store};
use tower_jwt_auth::{Algorithm, AuthError, JwtAuthLayer, SigningKey, TokenIssuer};

use crate::server::Server;

/// One node; the requests end in the handler behind it.
fn node(tokens: &TokenIssuer, replays: RedisReplays) -> (JwtAuthLayer, Dpop) {
    let dpop = Dpop::builder("https://api.example", replays)
        .store_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    (
        JwtAuthLayer::new(tokens.verifier()).dpop(dpop.clone()),
        dpop,
    )
}

async fn ask(layer: JwtAuthLayer, token: &str, proof: &str) -> String {
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let request = Request::get("/")
        .header("Authorization", format!("DPoP {token}"))
        .header("DPoP", proof)
        .body(())
        .unwrap();
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    let error = response.extensions().get::<AuthError>();
    let reason = error.map_or("", AuthError::reason);
    format!("{} {reason}", response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_proofs_keep_the_rules() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let replays = RedisReplays::new(server.patient().await).prefix("shop:");
    check_replay_store(&replays).await;
    replays.check_writable().await.unwrap();
    let mut redis = server.connection().await;
    let entry = ReplayEntry::new([7; 32], 1_000_000, 3_000_500);
    assert!(replays.insert(entry).await.unwrap());
    let key = "shop:proof:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let left: i64 = redis::cmd("PTTL")
        .arg(key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!((1..=2_001).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_requests_with_one_proof_one_passes_on_two_nodes() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let key = ProofKey::generate(Algorithm::EdDSA).unwrap();
    let signer = SigningKey::generate(Algorithm::HS256).unwrap();
    let tokens = TokenIssuer::builder(signer).issuer("me").audience("api");
    let tokens = tokens.build().unwrap();
    let (a, dpop) = node(&tokens, RedisReplays::new(server.patient().await));
    let (b, _) = node(&tokens, RedisReplays::new(server.patient().await));
    let proof = key.proof("POST", "https://api.example/token").sign();
    let request = Request::post("/token")
        .header("DPoP", proof)
        .body(())
        .unwrap();
    let proof = dpop.verify_proof(request.method(), request.uri(), request.headers());
    let proof = proof.unwrap();
    proof.mark_used().await.unwrap();
    let token: Arc<str> = tokens.access("alice").dpop(&proof).issue().unwrap().into();
    for _ in 0..3 {
        let proof = key
            .proof("GET", "https://api.example/")
            .token(&token)
            .sign();
        let mut running = JoinSet::new();
        for number in 0..64 {
            let layer = if number % 2 == 0 {
                a.clone()
            } else {
                b.clone()
            };
            let (token, proof) = (Arc::clone(&token), proof.clone());
            running.spawn(async move { ask(layer, &token, &proof).await });
        }
        let answers = running.join_all().await;
        let count = |told: &str| answers.iter().filter(|answer| *answer == told).count();
        assert_eq!(count("200 "), 1, "{answers:?}");
        assert_eq!(count("401 proof_replayed"), 63, "{answers:?}");
    }
    // A server that is gone, or that is a replica, is an outage.
    let mut redis = server.connection().await;
    let _: () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg("1")
        .query_async(&mut redis)
        .await
        .unwrap();
    let proof = key
        .proof("GET", "https://api.example/")
        .token(&token)
        .sign();
    assert_eq!(ask(a, &token, &proof).await, "503 unavailable");
    drop(server);
    let proof = key
        .proof("GET", "https://api.example/")
        .token(&token)
        .sign();
    assert_eq!(ask(b, &token, &proof).await, "503 unavailable");
}
