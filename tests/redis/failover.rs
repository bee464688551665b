//! A primary that becomes a replica while its connections stay open, or that accepts no writes.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tower_jwt_auth::clock::{Clock, SystemClock};
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::revocation::{RedisRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::{
    EndReason, EndSessions, RedisSessions, Rotation, SessionError, SessionStore, SessionTarget,
};
use tower_jwt_auth::store::{RedisConnection, StoreError};
use tower_jwt_auth::{AuthErrorKind, VerifiedToken};

use crate::relay::{Pair, Relay};
use crate::revocations::{FOREVER, Node, two_nodes, until};
use crate::server::Server;
use crate::sessions::{now, session};

/// The number of requests that may fail before one succeeds. Usually one or two do; on a busy machine there
/// are more, because a reply may take longer than in production.
const FEW: usize = 30;

/// Repeats a call until the result is not a 503, and returns it.
#[allow(clippy::print_stderr)] // tells what it measured
async fn settled<T, E>(
    what: &str,
    status: impl Fn(&E) -> u16,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    for failed in 0..=FEW {
        match ask().await {
            Err(error) if status(&error) == 503 => {}
            answer => {
                if failed > 0 {
                    eprintln!("{what}: {failed} failed, then there was an answer");
                }
                return answer;
            }
        }
        // There are no more connection attempts per second than this.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: still unavailable after {FEW} requests");
}

/// Repeats a call until it succeeds. Every failure has to be a 503.
async fn soon<T, E: Debug>(
    what: &str,
    status: impl Fn(&E) -> u16,
    ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let answer = settled(what, status, ask).await;
    answer.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

fn status(error: &SessionError) -> u16 {
    error.status().as_u16()
}

async fn refresh(node: &Node, token: &str) -> Result<TokenPair, SessionError> {
    let refresh = node.sessions.refresh(token).await?;
    Ok(refresh.issue().await?.tokens)
}

async fn login(node: &Node, subject: &str) -> Result<TokenPair, SessionError> {
    node.sessions.open(subject).issue().await
}

/// Returns whether the node says that it can write.
async fn is_ready(node: &Node, sessions: &RedisSessions) -> bool {
    let revocations = node.cache.store().check_writable().await.is_ok();
    sessions.check_writable().await.is_ok() && revocations
}

async fn is_soon_ready(node: &Node, sessions: &RedisSessions) {
    soon(
        "ready",
        |()| 503,
        async || is_ready(node, sessions).await.then_some(()).ok_or(()),
    )
    .await;
}

async fn logged_in(node: &Node, subject: &str) -> TokenPair {
    soon("login", status, async || login(node, subject).await).await
}

/// Returns the verdict on an access token, once there is one.
async fn verdict(node: &Node, token: &str) -> Result<VerifiedToken, AuthErrorKind> {
    let is_known = |kind: &AuthErrorKind| match kind {
        AuthErrorKind::Unavailable => 503,
        _ => 401,
    };
    settled("look-up", is_known, async || node.verify(token).await).await
}

/// Checks that everything works on connections that were made before the failover.
async fn assert_recovers(node: &Node, tokens: &TokenPair) {
    verdict(node, &tokens.access_token).await.unwrap();
    soon("refresh", status, async || {
        refresh(node, &tokens.refresh_token).await
    })
    .await;
    let other = logged_in(node, "alice").await;
    let verified = verdict(node, &other.access_token).await.unwrap();
    let sid = verified.session_id().unwrap();
    soon("log-out", status, async || node.sessions.end(sid).await).await;
    let refused = verdict(node, &other.access_token).await.unwrap_err();
    assert_eq!(refused, AuthErrorKind::Revoked);
    let over = settled("refresh", status, async || {
        refresh(node, &other.refresh_token).await
    });
    let over = over.await.unwrap_err();
    assert_eq!((status(&over), over.code()), (400, "invalid_grant"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_continues_when_the_primary_becomes_a_replica() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let node = Node::in_a_hurry(&pair.url(), Duration::ZERO).await;
    let sessions = RedisSessions::connect(pair.url()).await.unwrap();
    let revoked = logged_in(&node, "alice").await;
    let ended = soon("log-out", status, async || {
        node.sessions.end_all("alice").await
    });
    assert_eq!(ended.await, 1);
    let tokens = logged_in(&node, "alice").await;
    assert!(verdict(&node, &tokens.access_token).await.is_ok());
    is_soon_ready(&node, &sessions).await;

    // The name still points to the old primary, which accepts no writes: that is an outage and nothing else.
    pair.promote().await;
    pair.demote().await;
    for _ in 0..3 {
        let failures = [
            refresh(&node, &tokens.refresh_token).await.unwrap_err(),
            login(&node, "alice").await.unwrap_err(),
            node.sessions.end_all("alice").await.unwrap_err(),
        ];
        for error in failures {
            assert_eq!(status(&error), 503, "{error:?}");
        }
        assert!(!is_ready(&node, &sessions).await);
    }
    let looked_up = node.verify(&tokens.access_token).await;
    assert_eq!(looked_up.unwrap_err(), AuthErrorKind::Unavailable);

    pair.follow();
    assert_recovers(&node, &tokens).await;
    is_soon_ready(&node, &sessions).await;
    let refused = verdict(&node, &revoked.access_token).await.unwrap_err();
    assert_eq!(refused, AuthErrorKind::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_continues_when_the_name_moves_first() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let node = Node::in_a_hurry(&pair.url(), Duration::ZERO).await;
    let tokens = logged_in(&node, "alice").await;
    assert!(verdict(&node, &tokens.access_token).await.is_ok());
    pair.promote().await;
    pair.follow();
    pair.demote().await;
    assert_recovers(&node, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_continues_when_the_primary_falls_silent() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let node = Node::in_a_hurry(&pair.url(), Duration::ZERO).await;
    let tokens = logged_in(&node, "alice").await;
    assert!(verdict(&node, &tokens.access_token).await.is_ok());
    // Like a machine that is cut off: no connection is closed, and no reply arrives.
    pair.promote().await;
    pair.old.signal("STOP");
    pair.follow();
    assert_recovers(&node, &tokens).await;
    pair.old.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_move_to_the_new_primary() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let (a, b, pushes) = two_nodes(&pair.url(), FOREVER).await;
    let before = logged_in(&a, "alice").await;
    assert!(verdict(&b, &before.access_token).await.is_ok());
    pair.promote().await;
    pair.follow();
    pair.demote().await;
    until("the loss is noticed", || pushes.losses() == 1).await;
    until("subscribed again", || pushes.is_subscribed()).await;

    let tokens = soon("login", status, async || login(&a, "bob").await).await;
    soon(
        "look-up",
        |_: &AuthErrorKind| 503,
        async || b.verify(&tokens.access_token).await,
    )
    .await;
    let received = pushes.received();
    soon("log-out", status, async || a.sessions.end_all("bob").await).await;
    // Only a push can inform this node, because answers are cached for an hour.
    b.refuses(&tokens.access_token).await;
    assert!(pushes.received() > received);
    assert!(verdict(&b, &before.access_token).await.is_ok());
}

/// The data of a replica may be old, so it must not say that a session is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_refuses_no_token_and_ends_nothing() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let store = RedisSessions::connect(pair.url()).await.unwrap();
    let mut ended = session("ended", "alice", now());
    ended.ended_at = Some(now());
    ended.end_reason = Some(EndReason::Revoked);
    for record in [session("a", "alice", now()), ended] {
        store.create(&record, None).await.unwrap();
    }
    pair.promote().await;
    pair.demote().await;
    let replica: RedisSessions<MultiplexedConnection> =
        RedisSessions::new(pair.old.connection().await);
    for (id, generation) in [("a", 0), ("a", 5), ("ended", 0), ("nobody", 0)] {
        let rotation = Rotation::new(id, generation, "t", now());
        assert!(replica.rotate(&rotation).await.is_err(), "{rotation:?}");
        let target = SessionTarget::Session(id);
        let end = EndSessions::new(target, EndReason::Revoked, now());
        assert!(replica.end(end).await.is_err(), "{end:?}");
        assert!(replica.acknowledge(id, generation).await.is_err(), "{id}");
    }
    assert!(replica.check_writable().await.is_err());

    // The connection of this crate refuses a server that is a replica.
    assert!(RedisConnection::connect(pair.old.url()).await.is_err());
    assert!(RedisConnection::connect(pair.new.url()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unwritable_primary_is_asked_at_most_ten_times_a_second() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let relay = Relay::start(server.port).await;
    let store = RedisRevocations::connect(relay.url()).await.unwrap();
    let mut redis = server.connection().await;
    let mut set = async |name: &str, value: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set.query_async::<()>(&mut redis).await.unwrap();
    };
    set("min-replicas-to-write", "1").await;
    let (started, before) = (Instant::now(), relay.accepted());
    let mut asked = 0;
    while started.elapsed() < Duration::from_secs(1) || asked < 100 {
        assert!(store.check_writable().await.is_err());
        // It is still the primary, so its answers about revocations are right.
        let query = RevocationQuery::new("alice", "t", 1);
        assert!(!store.is_revoked(&query).await.unwrap());
        asked += 1;
    }
    let attempts = relay.accepted() - before;
    let at_most = 2 + started.elapsed().as_millis() / 100;
    assert!(attempts as u128 <= at_most, "{attempts} > {at_most}");
    assert!(attempts > 0);
    set("min-replicas-to-write", "0").await;
    store.check_writable().await.unwrap();
}

/// A request that is dropped after 50 ms does not notice that a server is silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_give_up_early_reach_the_new_primary_as_well() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let store = RedisRevocations::connect(pair.url()).await.unwrap();
    let look_up = async || {
        let query = RevocationQuery::new("alice", "t", 1);
        let looked_up = store.is_revoked(&query);
        match tokio::time::timeout(Duration::from_millis(50), looked_up).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => false,
        }
    };
    pair.promote().await;
    pair.old.signal("STOP");
    pair.follow();
    let started = Instant::now();
    while !look_up().await {
        assert!(started.elapsed() < Duration::from_secs(60), "no recovery");
    }
    pair.old.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_to_a_silent_server_hangs() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::connect(server.url()).await.unwrap();
    let revocations = RedisRevocations::connect(server.url()).await.unwrap();
    let record = session("a", "alice", now());
    store.create(&record, None).await.unwrap();
    server.signal("STOP");
    let rotation = Rotation::new("a", 0, "t", now());
    let target = SessionTarget::Subject("alice");
    let end = EndSessions::new(target, EndReason::Revoked, now());
    let until = SystemClock.now() + Duration::from_secs(60);
    let revoked = [Revocation::token(None, "t", until)];
    let query = RevocationQuery::new("alice", "t", 1);
    // The first call uses the existing connection, the second one a connection that cannot be made.
    for _ in 0..2 {
        let failed = tokio::join!(
            async { ends(store.rotate(&rotation)).await.is_err() },
            async { ends(store.create(&record, None)).await.is_err() },
            async { ends(store.acknowledge("a", 0)).await.is_err() },
            async { ends(store.list("alice", now())).await.is_err() },
            async { ends(store.end(end)).await.is_err() },
            async { ends(store.clean_up(now(), 10)).await.is_err() },
            async { ends(store.check_writable()).await.is_err() },
            async { ends(revocations.revoke(&revoked)).await.is_err() },
            async { ends(revocations.is_revoked(&query)).await.is_err() },
            async { ends(revocations.check_writable()).await.is_err() },
            async { ends(RedisConnection::connect(server.url())).await.is_err() },
        );
        assert_eq!(<[bool; 11]>::from(failed), [true; 11]);
    }
    server.signal("CONT");
    soon(
        "look-up",
        |_: &StoreError| 503,
        async || revocations.is_revoked(&query).await,
    )
    .await;
}

/// Far longer than any time limit, so that a busy machine does not fail the test.
pub(crate) async fn ends<T>(call: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(30), call).await;
    ended.expect("a call hangs")
}
