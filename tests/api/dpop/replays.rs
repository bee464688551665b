//! A proof is used once, on all nodes.

use http::Request;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::dpop::{Dpop, MemoryReplays};
use tower_jwt_auth::testing::check_replay_store;

use super::support::{ADDRESS, MINUTE, ORDERS, World, get_orders, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_keeps_the_rules() {
    check_replay_store(&MemoryReplays::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_requests_with_one_proof_one_passes_on_two_nodes() {
    let world = World::new();
    let replays = MemoryReplays::new();
    let node = || {
        let dpop = Dpop::builder(ADDRESS, replays.clone()).clock(world.clock.clone());
        JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop.build().unwrap())
    };
    let nodes = [node(), node()];
    let token = world.bound_token().await;
    for _ in 0..5 {
        let proof = world.proof("GET", ORDERS).token(&token).sign();
        let mut running = tokio::task::JoinSet::new();
        for number in 0..64 {
            let (layer, token, proof) = (nodes[number % 2].clone(), token.clone(), proof.clone());
            running.spawn(async move {
                send(&layer, get_orders("DPoP", &token, &proof))
                    .await
                    .told()
            });
        }
        let answers = running.join_all().await;
        let passed = answers
            .iter()
            .filter(|told| told.starts_with("200"))
            .count();
        let refused = answers
            .iter()
            .filter(|told| *told == "401 proof_replayed")
            .count();
        assert_eq!((passed, refused), (1, 63));
    }
}

#[tokio::test]
async fn a_used_proof_is_kept_until_it_is_too_old_everywhere() {
    let world = World::new();
    let replays = MemoryReplays::new();
    let dpop = Dpop::builder(ADDRESS, replays.clone()).clock(world.clock.clone());
    let layer = JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop.build().unwrap());
    let token = world.bound_token().await;
    let proof = world.proof("GET", ORDERS).token(&token);
    let request = || get_orders("DPoP", &token, &proof.sign());
    assert_eq!(send(&layer, request()).await.status, 200);
    world.clock.advance(MINUTE);
    assert_eq!(send(&layer, request()).await.told(), "401 proof_replayed");
    world.clock.advance(MINUTE / 60);
    assert_eq!(send(&layer, request()).await.told(), "401 proof_too_old");
    assert_eq!(replays.len(), 1);
    world.clock.advance(MINUTE);
    let another = world.proof("GET", ORDERS).token(&token).sign();
    // The first entry is removed as soon as its part of the memory is used.
    assert_eq!(
        send(&layer, get_orders("DPoP", &token, &another))
            .await
            .status,
        200
    );
    assert!(replays.len() <= 2);
}

#[tokio::test]
async fn only_requests_with_a_good_token_reach_the_store() {
    let world = World::new();
    let replays = MemoryReplays::new();
    let dpop = Dpop::builder(ADDRESS, replays.clone()).clock(world.clock.clone());
    let layer = JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop.build().unwrap());
    let unbound = world.unbound_token();
    for token in ["nonsense", &unbound] {
        for _ in 0..10 {
            let proof = world.proof("GET", ORDERS).token(token).sign();
            let answer = send(&layer, get_orders("DPoP", token, &proof)).await;
            assert_eq!(answer.status, 401);
        }
    }
    assert!(replays.is_empty());
}

#[tokio::test]
async fn the_same_id_is_another_proof_for_another_key_or_address() {
    let world = World::new();
    let other = World::new();
    let dpop = world.dpop();
    for (world, path, good) in [
        (&world, "/a", true),
        (&world, "/a", false),
        (&world, "/b", true),
        (&other, "/a", true),
        (&other, "/a", false),
    ] {
        let proof = world
            .proof("GET", &format!("{ADDRESS}{path}"))
            .claim("jti", "1")
            .sign();
        let request = Request::get(path).header("DPoP", proof).body(()).unwrap();
        let proof = dpop
            .verify_proof(request.method(), request.uri(), request.headers())
            .unwrap();
        let used = proof.mark_used().await;
        assert_eq!(used.is_ok(), good);
        if let Err(error) = used {
            assert_eq!(
                (error.status().as_u16(), error.reason()),
                (400, "proof_replayed")
            );
        }
    }
}

#[tokio::test]
async fn two_layers_on_one_route_use_a_proof_once() {
    use tower::{Layer as _, ServiceExt as _};

    let world = World::new();
    let dpop = world.dpop();
    let outer = JwtAuthLayer::new(world.tokens.verifier())
        .dpop(dpop.clone())
        .optional();
    let inner = JwtAuthLayer::new(world.tokens.verifier()).require_dpop(dpop);
    let handler = tower::service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let service = outer.layer(inner.layer(handler));
    let token = world.bound_token().await;
    let proof = world.proof("GET", ORDERS).token(&token).sign();
    for expected in [200, 401, 401] {
        let request = get_orders("DPoP", &token, &proof);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
    // Another policy does not know the proofs that this one has seen.
    let other = JwtAuthLayer::new(world.tokens.verifier()).dpop(world.dpop());
    assert_eq!(
        send(&other, get_orders("DPoP", &token, &proof))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_used_proof_is_known_on_nodes_whose_clock_is_behind() {
    use std::time::Duration;

    let (behind, ahead) = (World::new(), World::new());
    let leeway = Duration::from_secs(30);
    ahead.clock.advance(leeway);
    let replays = MemoryReplays::new();
    let node = |world: &World| {
        let dpop = Dpop::builder(ADDRESS, replays.clone()).clock(world.clock.clone());
        dpop.build().unwrap()
    };
    let nodes = [node(&ahead), node(&behind)];
    // Enough proofs to use each part of the store.
    let proofs: Vec<_> = (0..200)
        .map(|_| behind.proof("GET", ORDERS).sign())
        .collect();
    let mark_used = async |node: usize, proof: &str| {
        let request = Request::get("/orders")
            .header("DPoP", proof)
            .body(())
            .unwrap();
        let proof = nodes[node].verify_proof(request.method(), request.uri(), request.headers());
        proof
            .map_err(|error| error.reason())?
            .mark_used()
            .await
            .map_err(|error| error.reason())
    };
    for proof in &proofs {
        mark_used(0, proof).await.unwrap();
    }
    for seconds in [1, 29, 29, 1] {
        for world in [&ahead, &behind] {
            world.clock.advance(Duration::from_secs(seconds));
        }
        for proof in &proofs {
            // The store removes expired entries by the clock that is ahead.
            let another = ahead.proof("GET", ORDERS).sign();
            mark_used(0, &another).await.unwrap();
            assert_eq!(mark_used(1, proof).await, Err("proof_replayed"));
        }
    }
    behind.clock.advance(Duration::from_secs(1));
    assert_eq!(mark_used(1, &proofs[0]).await, Err("proof_too_old"));
}
