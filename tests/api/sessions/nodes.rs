//! Two nodes with one store, whose clocks differ.

use std::time::Duration;

use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::{AuthErrorKind, Sessions, TokenIssuer};

use super::store::{TestRevocations, TestStore};
use super::{ROTATED, refresh, request, sid};
use crate::support::{NOW, key};

struct Node {
    tokens: TokenIssuer,
    sessions: Sessions,
    clock: ManualClock,
}

/// What the nodes share.
struct Shared {
    store: TestStore,
    revocations: TestRevocations,
}

impl Shared {
    fn new() -> Self {
        let clock = ManualClock::at_unix_seconds(NOW);
        Self {
            store: TestStore::default(),
            revocations: TestRevocations::new(&clock),
        }
    }

    /// A node, or one that was restarted, whose clock differs by this many seconds.
    fn node(&self, differs: i64) -> Node {
        let clock = ManualClock::at_unix_seconds(NOW.saturating_add_signed(differs));
        let tokens = TokenIssuer::builder(key())
            .issuer("me")
            .audience("api")
            .clock(clock.clone())
            .revocation(self.revocations.clone())
            .build()
            .unwrap();
        Node {
            sessions: Sessions::builder(&tokens, self.store.clone())
                .build()
                .unwrap(),
            tokens,
            clock,
        }
    }
}

#[tokio::test]
async fn log_out_everywhere_covers_nodes_whose_clock_is_ahead() {
    let shared = Shared::new();
    let (here, ahead) = (shared.node(0), shared.node(20));
    let login = ahead.sessions.open("alice").issue().await.unwrap();
    for node in [&here, &ahead] {
        node.clock.advance(Duration::from_secs(10));
    }
    here.sessions.end_all("alice").await.unwrap();
    for node in [&here, &ahead] {
        let verdict = request(&node.tokens, &login).await;
        assert_eq!(verdict, Err(AuthErrorKind::Revoked));
        assert!(refresh(&node.sessions, &login.refresh_token).await.is_err());
    }
}

#[tokio::test]
async fn log_out_everywhere_covers_a_clock_that_was_set_back() {
    let shared = Shared::new();
    let before = shared.node(0);
    let login = before.sessions.open("alice").issue().await.unwrap();
    let restarted = shared.node(-20);
    restarted.sessions.end_all("alice").await.unwrap();
    let verdict = request(&restarted.tokens, &login).await;
    assert_eq!(verdict, Err(AuthErrorKind::Revoked));
    assert!(
        refresh(&restarted.sessions, &login.refresh_token)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_session_that_looks_idle_to_one_node_still_ends() {
    let shared = Shared::new();
    let (here, behind) = (shared.node(0), shared.node(-25));
    let login = behind.sessions.open("alice").issue().await.unwrap();
    let almost_idle = Duration::from_secs(1_296_000 - 20);
    for node in [&here, &behind] {
        node.clock.advance(almost_idle);
    }
    assert!(
        here.sessions.list("alice").await.unwrap().is_empty(),
        "idle here"
    );
    here.sessions.end_all("alice").await.unwrap();
    assert!(
        refresh(&behind.sessions, &login.refresh_token)
            .await
            .is_err()
    );

    let login = behind.sessions.open("alice").issue().await.unwrap();
    for node in [&here, &behind] {
        node.clock.advance(almost_idle);
    }
    assert!(
        here.sessions
            .end_owned_by("alice", &sid(&login))
            .await
            .unwrap()
    );
    assert!(
        refresh(&behind.sessions, &login.refresh_token)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_token_from_a_clock_far_ahead_is_a_503() {
    let shared = Shared::new();
    let (here, ahead) = (shared.node(0), shared.node(40));
    let login = ahead.sessions.open("alice").issue().await.unwrap();
    let error = here
        .sessions
        .refresh(&login.refresh_token)
        .await
        .unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (503, "temporarily_unavailable")
    );
    assert!(error.retry_after().is_some());
    let error = here
        .sessions
        .end_by_token(&login.refresh_token)
        .await
        .unwrap_err();
    assert_eq!(error.status().as_u16(), 503);
    here.clock.set(ahead.clock.now());
    assert_eq!(
        refresh(&here.sessions, &login.refresh_token)
            .await
            .unwrap()
            .0,
        ROTATED
    );
}

#[tokio::test]
async fn login_after_log_out_everywhere_works_on_a_slow_clock() {
    for behind in [1, 3, 20] {
        let shared = Shared::new();
        let (here, ahead) = (shared.node(-behind), shared.node(0));
        ahead.sessions.end_all("alice").await.unwrap();
        let login = here.sessions.open("alice").issue().await.unwrap();
        for node in [&here, &ahead] {
            assert_eq!(request(&node.tokens, &login).await, Ok(()), "{behind} s");
            node.clock.advance(Duration::from_secs(600));
            assert!(refresh(&node.sessions, &login.refresh_token).await.is_ok());
        }
    }
    // If the clock differs by more than the leeway, the token would not be accepted.
    let shared = Shared::new();
    let (here, ahead) = (shared.node(-60), shared.node(0));
    ahead.sessions.end_all("alice").await.unwrap();
    let error = here.sessions.open("alice").issue().await.unwrap_err();
    assert_eq!(error.status().as_u16(), 503);
}

#[tokio::test]
async fn a_clock_that_was_once_a_day_ahead_blocks_no_login() {
    let shared = Shared::new();
    let node = shared.node(86_400);
    node.sessions.open("carol").issue().await.unwrap();
    node.clock.set(shared.node(0).clock.now());
    node.sessions.end_all("carol").await.unwrap();
    node.clock.advance(Duration::from_secs(3600));
    let login = node.sessions.open("carol").issue().await.unwrap();
    assert_eq!(request(&node.tokens, &login).await, Ok(()));
    assert!(refresh(&node.sessions, &login.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_session_moves_between_nodes_whose_clocks_differ() {
    let shared = Shared::new();
    let nodes = [shared.node(0), shared.node(25), shared.node(-4)];
    let mut pair = nodes[0].sessions.open("alice").issue().await.unwrap();
    for turn in 0..30 {
        for node in &nodes {
            node.clock.advance(Duration::from_secs(300));
        }
        let node = &nodes[turn * 7 % 3];
        let (outcome, next) = refresh(&node.sessions, &pair.refresh_token).await.unwrap();
        assert_eq!(outcome, ROTATED);
        assert_eq!(request(&nodes[turn % 3].tokens, &next).await, Ok(()));
        pair = next;
    }
}
