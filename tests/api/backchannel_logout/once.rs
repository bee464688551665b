//! A logout token is carried out once, however often and wherever it arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tower_jwt_auth::AuthErrorKind::Revoked;
use tower_jwt_auth::backchannel_logout::Logout;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::store::StoreError;

use super::{Node, access_token, logout_token};
use crate::support::NOW;

/// Counts the calls of the hook, and blocks them while it is closed.
#[derive(Clone)]
struct Application {
    told: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Application {
    fn open() -> Self {
        Self {
            told: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn closed() -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            ..Self::open()
        }
    }

    fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    /// Creates a node of this application, with a store that others may share.
    fn node(&self, store: &MemoryRevocations, clock: &ManualClock) -> Node<MemoryRevocations> {
        let this = self.clone();
        let hook = move |_: Logout| {
            let this = this.clone();
            async move {
                this.told.fetch_add(1, Ordering::SeqCst);
                let pass = this.gate.acquire().await;
                pass.map(drop).map_err(StoreError::new)
            }
        };
        Node::with(
            store.clone(),
            clock,
            |access| access,
            |logout| logout.on_logout(hook),
        )
    }
}

fn world() -> (ManualClock, MemoryRevocations) {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = MemoryRevocations::with_clock(clock.clone());
    (clock, store)
}

/// Lets other tasks run until the condition is true.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_repeated_token_is_accepted_and_ends_nothing_more() {
    let (clock, store) = world();
    let application = Application::open();
    let node = application.node(&store, &clock);
    let token = logout_token(json!({}));
    assert_eq!(node.log_out(&token).await, 200);
    clock.advance(Duration::from_secs(60));
    let newer = access_token(json!({"iat": NOW + 30}));
    for _ in 0..3 {
        // The provider may not have received the first response.
        assert_eq!(node.log_out(&token).await, 200);
    }
    assert_eq!(node.verdict(&newer).await, Ok(()), "a new login");
    assert_eq!(application.told(), 1);
    // Until no verifier accepts it any more.
    clock.advance(Duration::from_secs(89));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(application.told(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(node.log_out(&token).await, 400);
    assert_eq!(application.told(), 1);
}

#[tokio::test]
async fn another_logout_of_the_same_user_is_carried_out() {
    let (clock, store) = world();
    let application = Application::open();
    let node = application.node(&store, &clock);
    assert_eq!(node.log_out(&logout_token(json!({}))).await, 200);
    clock.advance(Duration::from_secs(60));
    let newer = access_token(json!({"iat": NOW + 30}));
    assert_eq!(node.verdict(&newer).await, Ok(()));
    let second = json!({"jti": "logout-2", "iat": NOW + 60, "exp": NOW + 180});
    assert_eq!(node.log_out(&logout_token(second)).await, 200);
    assert_eq!(node.verdict(&newer).await, Err(Revoked));
    assert_eq!(application.told(), 2);
    // An older token that arrives late does not make later tokens valid again.
    let late = json!({"jti": "logout-0", "iat": NOW - 5});
    assert_eq!(node.log_out(&logout_token(late)).await, 200);
    assert_eq!(node.verdict(&newer).await, Err(Revoked));
}

#[tokio::test]
async fn a_token_that_lives_for_years_is_remembered_for_a_day() {
    let (clock, store) = world();
    let application = Application::open();
    let node = application.node(&store, &clock);
    let token = logout_token(json!({"exp": 9_007_199_254_740_992_u64}));
    assert_eq!(node.log_out(&token).await, 200);
    clock.advance(Duration::from_secs(86_399));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(application.told(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(application.told(), 2);
    // It ends nothing that has not ended before.
    let newer = access_token(json!({"iat": NOW + 86_300, "exp": NOW + 86_500}));
    assert_eq!(node.verdict(&newer).await, Ok(()));
}

#[tokio::test]
async fn concurrent_copies_of_a_token_are_carried_out_once() {
    let (clock, store) = world();
    let application = Application::closed();
    let node = Arc::new(application.node(&store, &clock));
    let token = logout_token(json!({}));
    let copies: Vec<_> = (0..200)
        .map(|_| {
            let (node, token) = (Arc::clone(&node), token.clone());
            tokio::spawn(async move { node.log_out(&token).await })
        })
        .collect();
    until(|| application.told() == 1).await;
    // Logouts of other users do not wait for them.
    application.gate.add_permits(1);
    for copy in copies {
        assert_eq!(copy.await.unwrap(), 200);
    }
    assert_eq!(application.told(), 1);
}

#[tokio::test]
async fn waiting_copies_take_no_slot_from_other_logouts() {
    let (clock, store) = world();
    let application = Application::closed();
    let node = Arc::new(application.node(&store, &clock));
    let spawn = |jti: &str| {
        let (node, token) = (Arc::clone(&node), logout_token(json!({"jti": jti})));
        tokio::spawn(async move { node.log_out(&token).await })
    };
    let copies: Vec<_> = (0..200).map(|_| spawn("same")).collect();
    until(|| application.told() == 1).await;
    let other = spawn("other");
    until(|| application.told() == 2).await;
    application.gate.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(other.await.unwrap(), 200);
    for copy in copies {
        assert_eq!(copy.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn many_concurrent_logouts_are_all_carried_out() {
    let (clock, store) = world();
    let application = Application::open();
    let node = Arc::new(application.node(&store, &clock));
    let all: Vec<_> = (0..300)
        .map(|number| {
            let claims = json!({"jti": format!("l{number}"), "sub": format!("user-{number}")});
            let (node, token) = (Arc::clone(&node), logout_token(claims));
            tokio::spawn(async move { node.log_out(&token).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(application.told(), 300);
    for number in 0..300 {
        let token = access_token(json!({"sub": format!("user-{number}")}));
        assert_eq!(node.verdict(&token).await, Err(Revoked));
    }
}

#[tokio::test]
async fn nodes_that_share_a_store_share_used_tokens() {
    let (clock, store) = world();
    let application = Application::open();
    let (one, two) = (
        application.node(&store, &clock),
        application.node(&store, &clock),
    );
    let token = logout_token(json!({}));
    assert_eq!(one.log_out(&token).await, 200);
    assert_eq!(two.verdict(&access_token(json!({}))).await, Err(Revoked));
    assert_eq!(two.log_out(&token).await, 200);
    assert_eq!(application.told(), 1);
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn nodes_with_caches_in_front_of_the_store_agree() {
    use tower_jwt_auth::revocation::CachedRevocations;

    let (clock, shared) = world();
    let node = || {
        let cache = CachedRevocations::new(shared.clone()).clock(clock.clone());
        Node::around(Arc::new(cache), &clock)
    };
    let (one, two) = (node(), node());
    let (before, after) = (
        access_token(json!({})),
        access_token(json!({"iat": NOW + 1})),
    );
    assert_eq!(two.verdict(&before).await, Ok(()));
    let token = logout_token(json!({}));
    assert_eq!(one.log_out(&token).await, 200);
    assert_eq!(one.verdict(&before).await, Err(Revoked), "at once");
    clock.advance(Duration::from_secs(5));
    assert_eq!(
        two.verdict(&before).await,
        Err(Revoked),
        "within the cache period"
    );
    assert_eq!(two.log_out(&token).await, 200);
    for node in [&one, &two] {
        assert_eq!(node.verdict(&after).await, Ok(()));
    }
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing_half_done() {
    // At each point at which a request can be dropped.
    for polls in 0..8 {
        let (clock, store) = world();
        let application = Application::closed();
        let node = application.node(&store, &clock);
        let token = logout_token(json!({}));
        let mut request = Box::pin(node.logout.log_out(&token));
        for _ in 0..polls {
            assert!(futures_util::poll!(&mut request).is_pending());
            tokio::task::yield_now().await;
        }
        drop(request);
        let begun = polls > 0;
        if begun {
            until(|| application.told() == 1).await;
        }
        application.gate.add_permits(Semaphore::MAX_PERMITS);
        let token_of_user = access_token(json!({}));
        if begun {
            assert_eq!(node.verdict(&token_of_user).await, Err(Revoked), "{polls}");
        }
        // Work that has begun goes on, and a second request finds it done.
        assert_eq!(node.log_out(&token).await, 200);
        assert_eq!(application.told(), 1, "{polls}");
        assert_eq!(node.verdict(&token_of_user).await, Err(Revoked));
    }
}

#[tokio::test]
async fn a_copy_that_stops_waiting_blocks_no_other() {
    let (clock, store) = world();
    let application = Application::closed();
    let node = application.node(&store, &clock);
    let token = logout_token(json!({}));
    let mut first = Box::pin(node.logout.log_out(&token));
    assert!(futures_util::poll!(&mut first).is_pending());
    until(|| application.told() == 1).await;
    let mut second = Box::pin(node.logout.log_out(&token));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(second);
    drop(first);
    application.gate.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(application.told(), 1);
}
