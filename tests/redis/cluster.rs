//! The same tests on a cluster of three nodes.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use tower_jwt_auth::clock::{Clock, SystemClock};
use tower_jwt_auth::revocation::{
    CachedRevocations, RedisRevocations, Revocation, RevocationQuery, RevocationStore,
};
use tower_jwt_auth::sessions::{RedisSessions, Rotation, SessionStore};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};
use tower_jwt_auth::{Algorithm, AuthErrorKind, SigningKey, TokenIssuer};

use crate::failover::ends;
use crate::server::Server;
use crate::sessions::{Dice, compare, now};

async fn cluster() -> Option<Vec<Server>> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Server::start(&["--cluster-enabled", "yes"]).await?);
    }
    let created = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)))
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let started = Instant::now();
    for node in &nodes {
        let mut redis = node.connection().await;
        loop {
            let info: String = redis::cmd("CLUSTER")
                .arg("INFO")
                .query_async(&mut redis)
                .await
                .unwrap();
            if info.contains("cluster_state:ok") {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{info}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Some(nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr)] // tells what it measured
async fn a_cluster_behaves_like_one_server() {
    let started = Instant::now();
    let Some(nodes) = cluster().await else {
        return;
    };
    eprintln!("a cluster in {:?}", started.elapsed());
    let urls = || nodes.iter().map(Server::url);

    // Waits for a busy machine.
    let patient = ClusterClientBuilder::new(urls())
        .connection_timeout(Duration::from_secs(20))
        .response_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let patient = patient.get_async_connection().await.unwrap();
    for seed in 0..4 {
        let sessions = RedisSessions::new(patient.clone());
        compare(&sessions.prefix(&format!("{seed}:")), Dice::new(seed), 300).await;
    }
    check_session_store(&RedisSessions::new(patient.clone())).await;
    check_revocation_store(&RedisRevocations::new(patient.clone())).await;

    let mut used = 0;
    for node in &nodes {
        let mut redis = node.connection().await;
        let keys: u32 = redis::cmd("DBSIZE").query_async(&mut redis).await.unwrap();
        used += u32::from(keys > 0);
    }
    assert_eq!(used, 3, "the keys are on all nodes");

    // Revoked through one node, and pushed by another.
    let key = || SigningKey::hs256("Zk4fTq9uX2rW7sB1nC5mV8yH3jL6pD0e").unwrap();
    assert_eq!(key().algorithm(), Algorithm::HS256);
    let cache = async || {
        let store = RedisRevocations::new(patient.clone());
        let cache = CachedRevocations::<RedisRevocations<ClusterConnection>>::new(store);
        Arc::new(
            cache
                .cache_for(Duration::from_secs(3600))
                .store_timeout(Duration::from_secs(20)),
        )
    };
    let node = |cache: &Arc<_>| {
        let tokens = TokenIssuer::builder(key()).issuer("me").audience("api");
        tokens.revocation(Arc::clone(cache)).build().unwrap()
    };
    let (cache_a, cache_b) = (cache().await, cache().await);
    let (a, b) = (node(&cache_a), node(&cache_b));
    let pushes = cache_b.store().subscribe(nodes[2].url(), &cache_b).unwrap();
    pushes.until_subscribed().await;
    for round in 0..20 {
        let token = a
            .access(format!("user{round}"))
            .session("s")
            .issue()
            .unwrap();
        let verified = b.verifier().verify(&token).await.unwrap();
        a.revoke(&verified).await.unwrap();
        let revoked = Instant::now();
        while b.verifier().verify(&token).await.is_ok() {
            assert!(
                revoked.elapsed() < Duration::from_secs(60),
                "still accepted"
            );
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let refused = a.verifier().verify(&token).await.unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::Revoked);
    }
    // The cluster driver repeats a revocation if the reply takes too long.
    assert!(pushes.received() >= 20, "{}", pushes.received());

    // No call hangs if all nodes are silent.
    let sessions = RedisSessions::connect_cluster(urls()).await.unwrap();
    let revocations = RedisRevocations::connect_cluster(urls()).await.unwrap();
    let until = SystemClock.now() + Duration::from_secs(60);
    let revoked = [Revocation::token(None, "t", until)];
    let query = RevocationQuery::new("alice", "t", 1);
    let rotation = Rotation::new("a", 0, "t", now());
    sessions.check_writable().await.unwrap();
    revocations.check_writable().await.unwrap();
    for node in &nodes {
        node.signal("STOP");
    }
    for _ in 0..2 {
        assert!(ends(sessions.rotate(&rotation)).await.is_err());
        assert!(ends(sessions.list("alice", now())).await.is_err());
        assert!(ends(sessions.check_writable()).await.is_err());
        assert!(ends(revocations.revoke(&revoked)).await.is_err());
        assert!(ends(revocations.is_revoked(&query)).await.is_err());
        assert!(ends(RedisSessions::connect_cluster(urls())).await.is_err());
    }
}
