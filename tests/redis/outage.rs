//! A server that is killed and comes back, and what its clients observe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::sessions::{RedisSessions, Rotation, RotationOutcome, SessionStore};

use crate::revocations::Node;
use crate::server::Server;
use crate::sessions::{now, session};

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    rotated: AtomicU64,
    converged: AtomicU64,
    failed: AtomicU64,
}

/// Far longer than anything here takes, because a busy machine must not fail the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `count` has grown by `by`.
async fn grows(what: &str, count: &AtomicU64, by: u64) {
    let (started, before) = (Instant::now(), count.load(Ordering::SeqCst));
    while count.load(Ordering::SeqCst) < before + by {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A legitimate client: if it gets no response, it retries with its current token.
async fn client(store: RedisSessions, id: String, seen: Arc<Seen>) {
    let mut generation = 0;
    let mut call = 0;
    while !seen.stop.load(Ordering::SeqCst) {
        call += 1;
        let rotation = Rotation::new(&*id, generation, format!("{id}-{call}"), now());
        match store.rotate(&rotation).await {
            Err(_) => {
                seen.failed.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(after) => {
                let counter = match rotation.outcome(after.as_ref()) {
                    RotationOutcome::Rotated { rewound: false } => &seen.rotated,
                    RotationOutcome::Converged(_) => &seen.converged,
                    other => panic!("an honest client is logged out: {other:?}"),
                };
                counter.fetch_add(1, Ordering::SeqCst);
                let after = after.unwrap();
                assert_eq!(after.generation, generation + 1, "forked");
                generation = after.generation;
            }
        }
    }
    // The last state of the store matches the client's token.
    let live = store.list(&id, now()).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].generation, generation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr)] // tells what it measured
async fn a_killed_server_loses_and_forks_no_session() {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut server) = Server::start(&always).await else {
        return;
    };
    let store = RedisSessions::connect(server.url()).await.unwrap();
    let node = Node::new(&server.url(), Duration::ZERO).await;
    let token = node.tokens.access("alice").issue().unwrap();
    let refused = node.tokens.access("bob").issue().unwrap();
    let verified = node.verify(&refused).await.unwrap();
    node.tokens.revoke(&verified).await.unwrap();

    let seen = Arc::<Seen>::default();
    let mut clients = JoinSet::new();
    for id in 0..8 {
        let id = format!("s{id}");
        store.create(&session(&id, &id, now()), None).await.unwrap();
        clients.spawn(client(store.clone(), id, Arc::clone(&seen)));
    }
    for round in 0..3 {
        grows("no rotation", &seen.rotated, 16).await;
        assert!(node.verify(&token).await.is_ok());
        server.kill();
        for token in [&token, &refused] {
            let error = node.tokens.verifier().verify(token).await.unwrap_err();
            // The node that revoked one of them still remembers it.
            let known = token == &refused && error.kind() == AuthErrorKind::Revoked;
            assert!(known || error.status() == 503, "{error:?}");
        }
        grows("nobody sees the outage", &seen.failed, 16).await;
        server.start_again().await;
        let started = Instant::now();
        grows("no recovery", &seen.rotated, 16).await;
        while node.verify(&token).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "no recovery");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        eprintln!(
            "restart {round}: all as before within {:?}",
            started.elapsed()
        );
        let fresh = Node::new(&server.url(), Duration::ZERO).await;
        let verdict = fresh.verify(&refused).await;
        assert_eq!(verdict.unwrap_err(), AuthErrorKind::Revoked);
    }
    seen.stop.store(true, Ordering::SeqCst);
    clients.join_all().await;
    eprintln!(
        "{} rotated, {} converged, {} got no answer",
        seen.rotated.load(Ordering::SeqCst),
        seen.converged.load(Ordering::SeqCst),
        seen.failed.load(Ordering::SeqCst)
    );
}

/// The process stops for longer than any limit, as in a container that is out of processor time.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[allow(clippy::disallowed_methods, reason = "it is the pause")]
async fn a_pause_of_the_process_is_not_an_outage() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::connect(server.url()).await.unwrap();
    let record = session("s", "alice", now());
    store.create(&record, None).await.unwrap();
    for _ in 0..4 {
        let reads: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.list("alice", now()).await })
            })
            .collect();
        // The only thread on which tasks run stands still.
        tokio::spawn(async { std::thread::sleep(Duration::from_secs(2)) });
        for read in reads {
            let listed = read.await.unwrap().unwrap();
            assert_eq!(listed, std::slice::from_ref(&record));
        }
    }
}
