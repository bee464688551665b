//! Stores and hooks that fail: the response is a 503, and the same logout token can be sent again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tower_jwt_auth::AuthErrorKind::Revoked;
use tower_jwt_auth::backchannel_logout::Logout;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;

use super::{Node, access_token, logout_token, post};
use crate::support::NOW;

/// A store that behaves as the test sets it.
#[derive(Debug, Clone)]
struct Store {
    inner: MemoryRevocations,
    /// Whether each call fails, in the order of the calls.
    fails: Arc<Mutex<Vec<bool>>>,
    hangs: Arc<AtomicBool>,
}

impl Store {
    fn new(clock: &ManualClock) -> Self {
        Self {
            inner: MemoryRevocations::with_clock(clock.clone()),
            fails: Arc::default(),
            hangs: Arc::default(),
        }
    }

    fn fails(&self, calls: &[bool]) {
        *self.fails.lock().unwrap() = calls.iter().rev().copied().collect();
    }

    async fn call(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.fails.lock().unwrap().pop() {
            Some(true) => Err(StoreError::new("secret-host:5432 refused the connection")),
            _ => Ok(()),
        }
    }
}

impl RevocationStore for Store {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.call().await?;
        self.inner.revoke(revocations).await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        self.call().await?;
        self.inner.is_revoked(query).await
    }
}

fn node() -> Node<Store> {
    let clock = ManualClock::at_unix_seconds(NOW);
    Node::around(Store::new(&clock), &clock)
}

/// A node whose hook fails or succeeds, in the order of the calls.
fn node_with(
    hook: impl Fn(usize) -> Result<(), StoreError> + Send + Sync + 'static,
) -> (Node<Store>, Arc<AtomicUsize>) {
    let clock = ManualClock::at_unix_seconds(NOW);
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let hook = move |_: Logout| {
        let done = hook(count.fetch_add(1, Ordering::SeqCst));
        async move { done }
    };
    let node = Node::with(
        Store::new(&clock),
        &clock,
        |access| access,
        |logout| logout.on_logout(hook),
    );
    (node, told)
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_a_repetition_succeeds() {
    // The first call looks up whether the token was used, the second is the revocation.
    for calls in [&[true][..], &[false, true]] {
        let node = node();
        node.store.fails(calls);
        let token = logout_token(json!({}));
        let answer = post(&node.logout, &token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (503, "unavailable")
        );
        assert!(!answer.body.contains("secret-host"), "{}", answer.body);
        assert_eq!(node.log_out(&token).await, 200);
        assert_eq!(node.verdict(&access_token(json!({}))).await, Err(Revoked));
    }
}

#[tokio::test]
async fn a_logout_is_a_200_even_if_its_token_is_not_remembered() {
    let (node, told) = node_with(|_| Ok(()));
    node.store.fails(&[false, false, true]);
    let token = logout_token(json!({}));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(node.verdict(&access_token(json!({}))).await, Err(Revoked));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(
        told.load(Ordering::SeqCst),
        2,
        "so the application is told again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_a_503() {
    let node = node();
    node.store.hangs.store(true, Ordering::SeqCst);
    let token = logout_token(json!({}));
    assert_eq!(node.log_out(&token).await, 503);
    node.store.hangs.store(false, Ordering::SeqCst);
    assert_eq!(node.log_out(&token).await, 200);
}

#[tokio::test]
async fn a_hook_that_fails_is_a_503_and_is_called_again() {
    let (node, told) = node_with(|call| match call {
        0 => Err(StoreError::new("secret-host:5432 refused the connection")),
        1 => panic!("a fault in the hook"),
        _ => Ok(()),
    });
    let token = logout_token(json!({}));
    for _ in 0..2 {
        let answer = post(&node.logout, &token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (503, "unavailable")
        );
        assert!(!answer.body.contains("secret-host"), "{}", answer.body);
        // The access tokens have ended anyway.
        assert_eq!(node.verdict(&access_token(json!({}))).await, Err(Revoked));
    }
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(told.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_is_a_503() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let hook = |_: Logout| std::future::pending::<Result<(), StoreError>>();
    let node = Node::with(
        Store::new(&clock),
        &clock,
        |access| access,
        |logout| logout.on_logout(hook),
    );
    let answer = post(&node.logout, &logout_token(json!({}))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (503, "unavailable")
    );
}

#[tokio::test]
async fn the_hook_is_told_who_has_logged_out() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let told = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&told);
    let hook = move |logout: Logout| {
        *keep.lock().unwrap() = Some(logout);
        async { Ok::<_, StoreError>(()) }
    };
    let node = Node::with(
        Store::new(&clock),
        &clock,
        |access| access,
        |logout| logout.on_logout(hook),
    );
    let token = logout_token(json!({"sid": "session-1", "x": 5}));
    assert_eq!(node.log_out(&token).await, 200);
    let logout = told.lock().unwrap().take().unwrap();
    assert_eq!(logout.issuer(), super::ISSUER);
    assert_eq!(logout.subject(), Some("alice"));
    assert_eq!(logout.session_id(), Some("session-1"));
    assert_eq!(logout.issued_at().as_secs(), NOW);
    assert!(logout.token().payload().contains(r#""x":5"#));
    let shown = format!("{logout:?} {:?}", node.logout);
    assert!(
        !shown.contains("alice") && !shown.contains("session-1"),
        "{shown}"
    );
}
