//! Revocations on one node, and when the other nodes refuse the token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_jwt_auth::credential::api_keys::{ApiKeys, MAX_KEY_CACHE_FOR, MemoryApiKeys};
use tower_jwt_auth::revocation::{
    CachedRevocations, LOSS_DETECTION_TIME, RedisRevocations, Revocation, RevocationPushes,
    RevocationStore,
};
use tower_jwt_auth::sessions::RedisSessions;
use tower_jwt_auth::store::RedisConnection;
use tower_jwt_auth::verifier::StreamEnd;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Sessions, SigningKey, TokenIssuer, VerifiedToken};

use crate::server::{Server, patient};

/// One node: an issuer with the key of all nodes, behind a cache.
pub(crate) struct Node {
    pub(crate) tokens: TokenIssuer,
    pub(crate) sessions: Sessions,
    pub(crate) cache: Arc<CachedRevocations<RedisRevocations>>,
}

impl Node {
    pub(crate) async fn new(url: &str, cache_for: Duration) -> Self {
        Self::on(patient(url).await, patient(url).await, cache_for)
    }

    /// A node with the time limits of production.
    pub(crate) async fn in_a_hurry(url: &str, cache_for: Duration) -> Self {
        let connect = async || RedisConnection::connect(url).await.unwrap();
        Self::on(connect().await, connect().await, cache_for)
    }

    fn on(revocations: RedisConnection, sessions: RedisConnection, cache_for: Duration) -> Self {
        // This machine may be busy with other tests.
        let cache = CachedRevocations::new(RedisRevocations::new(revocations))
            .cache_for(cache_for)
            .store_timeout(Duration::from_secs(2));
        let cache = Arc::new(cache);
        let key = SigningKey::hs256("Zk4fTq9uX2rW7sB1nC5mV8yH3jL6pD0e").unwrap();
        assert_eq!(key.algorithm(), Algorithm::HS256);
        let tokens = TokenIssuer::builder(key)
            .issuer("me")
            .audience("api")
            .revocation(Arc::clone(&cache))
            .build()
            .unwrap();
        let store = RedisSessions::new(sessions);
        let sessions = Sessions::builder(&tokens, store).build().unwrap();
        Self {
            tokens,
            sessions,
            cache,
        }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthErrorKind> {
        let verdict = self.tokens.verifier().verify(token).await;
        verdict.map_err(|error| error.kind())
    }

    /// Returns how long it takes from now until the token is refused.
    pub(crate) async fn refuses(&self, token: &str) -> Duration {
        let started = Instant::now();
        while self.verify(token).await.is_ok() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "still accepted"
            );
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        assert_eq!(
            self.verify(token).await.unwrap_err(),
            AuthErrorKind::Revoked
        );
        started.elapsed()
    }
}

pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    started.elapsed()
}

/// Answers are cached for so long that only a push can change them.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

/// Two nodes. The first pushes its revocations to the second.
pub(crate) async fn two_nodes(url: &str, cache_for: Duration) -> (Node, Node, RevocationPushes) {
    let a = Node::new(url, cache_for).await;
    let b = Node::new(url, cache_for).await;
    let pushes = b.cache.store().subscribe(url, &b.cache).unwrap();
    pushes.until_subscribed().await;
    (a, b, pushes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_is_refused_on_every_node_and_nothing_else_is() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let a = Node::new(&server.url(), Duration::ZERO).await;
    let b = Node::new(&server.url(), Duration::ZERO).await;
    let issue = |sub: &str, sid: &str| a.tokens.access(sub).session(sid).issue().unwrap();
    let tokens: Vec<String> = ["1", "2", "3"].map(|sid| issue("alice", sid)).into();
    for token in &tokens {
        assert!(b.verify(token).await.is_ok());
    }
    let first = a.verify(&tokens[0]).await.unwrap();
    a.tokens.revoke(&first).await.unwrap();
    let verdicts = async |node: &Node, tokens: &[String]| {
        let mut verdicts = Vec::new();
        for token in tokens {
            verdicts.push(node.verify(token).await.is_ok());
        }
        verdicts
    };
    assert_eq!(verdicts(&b, &tokens).await, [false, true, true]);
    a.tokens.revoke_session("2").await.unwrap();
    assert_eq!(verdicts(&b, &tokens).await, [false, false, true]);
    a.tokens.revoke_subject("alice").await.unwrap();
    assert_eq!(verdicts(&b, &tokens).await, [false, false, false]);
    // Issued in the same second, but after the cut-off; and a token of another subject.
    let after = [issue("alice", "4"), issue("bob", "5")];
    assert_eq!(verdicts(&b, &after).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_cut_off_and_the_later_end_count() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let node = Node::new(&server.url(), Duration::ZERO).await;
    let store = RedisRevocations::new(server.patient().await);
    let mut redis = server.connection().await;
    let at = |seconds| std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    let soon = at(crate::sessions::now() / 1_000_000 + 1000);
    for (cutoff, until) in [(5, soon), (9, at(1)), (7, soon - Duration::from_secs(500))] {
        let entry = Revocation::subject(Some("me"), "alice", at(cutoff), until);
        store.revoke(&[entry]).await.unwrap();
    }
    let key = "jwt-auth:u:2:me:alice";
    let value: u64 = redis::cmd("GET")
        .arg(key)
        .query_async(&mut redis)
        .await
        .unwrap();
    let left: u64 = redis::cmd("PTTL")
        .arg(key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(value, 9_000_000);
    assert!((1_590_000..=1_600_000).contains(&left), "{left}");

    // A malformed value is an outage, and never "not revoked".
    let token = node.tokens.access("alice").issue().unwrap();
    assert!(node.verify(&token).await.is_ok());
    let _: () = redis::cmd("SET")
        .arg(key)
        .arg("x")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(
        node.verify(&token).await.unwrap_err(),
        AuthErrorKind::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr)] // tells what it measured
async fn a_push_makes_the_other_node_refuse_at_once() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let (a, b, pushes) = two_nodes(&server.url(), FOREVER).await;
    let mut lags = Vec::new();
    for _ in 0..50 {
        let token = a.tokens.access("alice").issue().unwrap();
        let verified = b.verify(&token).await.unwrap();
        a.tokens.revoke(&verified).await.unwrap();
        lags.push(b.refuses(&token).await);
    }
    lags.sort();
    eprintln!(
        "pushed: refused on the other node {:.2} ms (median), {:.2} ms (worst of 50) after `revoke` returned",
        lags[25].as_secs_f64() * 1e3,
        lags[49].as_secs_f64() * 1e3
    );
    assert_eq!((pushes.received(), pushes.losses()), (50, 0));

    // Malformed messages are counted and ignored.
    let mut redis = server.connection().await;
    for rubbish in [
        "",
        "{}",
        r#"{"v":2,"kind":"token","id":"t","iss":"me","until":1}"#,
    ] {
        let _: () = redis::cmd("PUBLISH")
            .arg("jwt-auth:revocations")
            .arg(rubbish)
            .query_async(&mut redis)
            .await
            .unwrap();
    }
    until("counted", || pushes.unreadable() == 3).await;
    assert!(pushes.is_subscribed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr)] // tells what it measured
async fn a_cut_subscription_is_noticed_and_nothing_is_missed() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let (a, b, pushes) = two_nodes(&server.url(), FOREVER).await;
    let mut redis = server.connection().await;
    for round in 1..=5 {
        let token = a.tokens.access("alice").issue().unwrap();
        let verified = b.verify(&token).await.unwrap();
        let cut: u32 = redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("pubsub")
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!(cut, 1);
        // Node B does not receive this one, because it is not subscribed.
        a.tokens.revoke(&verified).await.unwrap();
        let lag = b.refuses(&token).await;
        let back = until("subscribed again", || {
            pushes.losses() == round && pushes.is_subscribed()
        });
        let back = back.await;
        eprintln!(
            "cut: refused {:.2} ms after, subscribed again {:.0} ms later",
            lag.as_secs_f64() * 1e3,
            back.as_secs_f64() * 1e3
        );
    }
    assert_eq!(pushes.received(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr)] // tells what it measured
async fn a_silent_server_is_noticed() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let (a, b, pushes) = two_nodes(&server.url(), FOREVER).await;
    let token = a.tokens.access("alice").issue().unwrap();
    b.verify(&token).await.unwrap();
    server.signal("STOP");
    let noticed = until("noticed", || !pushes.is_subscribed()).await;
    eprintln!(
        "silent: noticed after {:.0} ms",
        noticed.as_secs_f64() * 1e3
    );
    // The bound is generous for a busy machine, and still far below the time for which answers are trusted.
    assert!(noticed < LOSS_DETECTION_TIME * 20, "{noticed:?}");
    // Answers from before do not count, and there is no server to ask.
    assert_eq!(
        b.verify(&token).await.unwrap_err(),
        AuthErrorKind::Unavailable
    );
    server.signal("CONT");
    until("subscribed again", || pushes.is_subscribed()).await;
    while b.verify(&token).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_api_key_is_refused_on_other_nodes_at_once() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let (here, there, _pushes) = two_nodes(&server.url(), FOREVER).await;
    let store = MemoryApiKeys::new();
    let keys = |node: &Node| {
        let builder = ApiKeys::builder("acme", store.clone()).revocation(Arc::clone(&node.cache));
        builder.cache_for(MAX_KEY_CACHE_FOR).build().unwrap()
    };
    let (here, there) = (keys(&here), keys(&there));
    let new = here.create("alice").issue().await.unwrap();
    let token = there.verify(new.text()).await.unwrap();
    let ended = tokio::spawn(token.ended());
    assert!(here.revoke_owned_by("alice", new.id()).await.unwrap());
    // The machine may be busy, but not for as long as the cache period is.
    let refused = async {
        while there.verify(new.text()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, refused).await.unwrap();
    let ended = tokio::time::timeout(limit, ended).await.unwrap();
    assert_eq!(ended.unwrap(), StreamEnd::Revoked);
}
