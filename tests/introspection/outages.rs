//! A server that is down, slow or overloaded: unknown tokens get a 503, and the server is never flooded.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use tower_jwt_auth::AuthError;
use tower_jwt_auth::credential::Introspection;

use crate::authority::{Authority, Mode, active_with, told, verdict};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn told_all(judge: &Introspection, count: usize) -> Vec<String> {
    let tokens: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
    join_all(tokens.iter().map(|token| told(judge, token))).await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_gets_one_request_at_a_time() {
    let authority = Authority::new();
    let judge = authority.introspection();
    authority.set(Mode::Refuse);
    assert_eq!(told(&judge, "t").await, "503 unavailable");
    for _ in 0..3 {
        let start = Instant::now();
        let before = authority.count();
        assert_eq!(told_all(&judge, 100).await, vec!["503 unavailable"; 100]);
        assert_eq!(authority.count(), before, "it is left alone");
        assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for it");
        authority.clock.advance(seconds(15));
        assert_eq!(told_all(&judge, 100).await, vec!["503 unavailable"; 100]);
        assert_eq!(authority.count(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_is_found_within_15_seconds() {
    let authority = Authority::new();
    let judge = authority.introspection();
    authority.set(Mode::Refuse);
    for _ in 0..20 {
        assert_eq!(told(&judge, "good").await, "503 unavailable");
        authority.clock.advance(seconds(15));
    }
    authority.set(Mode::Good);
    assert_eq!(told(&judge, "good").await, "ok");
    assert_eq!(
        told_all(&judge, 100).await,
        vec!["401 token_not_active"; 100]
    );
}

#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn cached_tokens_are_accepted_while_the_server_is_down() {
    let authority = Authority::new();
    let judge = authority.introspection();
    assert_eq!(told(&judge, "good").await, "ok");
    authority.set(Mode::Refuse);
    assert_eq!(told(&judge, "other").await, "503 unavailable");
    assert_eq!(told(&judge, "good").await, "ok");
    authority.clock.advance(seconds(60));
    assert_eq!(told(&judge, "good").await, "503 unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_abandoned_after_5_seconds() {
    let authority = Authority::new();
    let judge = authority.introspection();
    authority.set(Mode::Hang);
    let start = Instant::now();
    assert_eq!(told_all(&judge, 10).await, vec!["503 unavailable"; 10]);
    assert!(start.elapsed() >= seconds(5) && start.elapsed() < seconds(6));
    let start = Instant::now();
    let error = verdict(&judge, "t").await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO, "then nobody waits for it");
    assert!(error.retry_after() >= Some(seconds(1)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tokens_is_at_most_64_requests_at_once() {
    let authority = Authority::new();
    authority.set(Mode::Hang);
    let judge = authority.introspection();
    let flood = tokio::spawn({
        let judge = judge.clone();
        async move { told_all(&judge, 3000).await }
    });
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(authority.count(), 64);
    assert_eq!(flood.await.unwrap(), vec!["503 unavailable"; 3000]);
    assert_eq!(
        authority.count(),
        64,
        "those in the queue ask nobody who is down"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_give_up_leave_no_endless_queue() {
    let authority = Authority::new();
    authority.set(Mode::Hang);
    let judge = authority.introspection();
    for number in 0..3000 {
        let token = format!("t{number}");
        let waiting = verdict(&judge, &token);
        let _ = tokio::time::timeout(Duration::ZERO, waiting).await;
    }
    assert_eq!(authority.count(), 64);
    let error = verdict(&judge, "another").await.unwrap_err();
    assert_eq!(
        source(&error),
        "too many requests wait for the authorization server"
    );
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_new_tokens_passes_within_the_bounds() {
    let authority = Authority::new();
    authority.state().delay = Duration::from_millis(100);
    for number in 0..300 {
        authority.says(&format!("t{number}"), active_with(json!({})));
    }
    let judge = authority.introspection();
    assert_eq!(told_all(&judge, 300).await, vec!["ok"; 300]);
}

#[tokio::test(start_paused = true)]
async fn one_token_with_bad_answers_blocks_no_other() {
    let authority = Authority::new();
    authority.says("odd", json!({"active": "true"}));
    authority.says("odd-2", json!(["a", "b"]));
    let judge = authority
        .builder()
        .cache_for(Duration::ZERO)
        .build()
        .unwrap();
    for _ in 0..50 {
        assert_eq!(told(&judge, "odd").await, "503 unavailable");
        assert_eq!(told(&judge, "odd-2").await, "503 unavailable");
        assert_eq!(told(&judge, "good").await, "ok");
    }
    assert_eq!(authority.count(), 150, "nothing is cached");
}

#[tokio::test(start_paused = true)]
async fn a_server_with_only_bad_answers_is_asked_rarely() {
    let authority = Authority::new();
    authority.set(Mode::Status(401));
    let judge = authority.introspection();
    for number in 0..50 {
        assert_eq!(told(&judge, &format!("t{number}")).await, "503 unavailable");
    }
    assert_eq!(authority.count(), 3);
    authority.clock.advance(seconds(1));
    let error = verdict(&judge, "t").await.unwrap_err();
    assert!(
        source(&error).contains("check the client id"),
        "{}",
        source(&error)
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_leaves_nobody_waiting() {
    let authority = Authority::new();
    authority.set(Mode::Panic);
    let judge = authority.introspection();
    let start = Instant::now();
    assert_eq!(told(&judge, "good").await, "503 unavailable");
    assert_eq!(start.elapsed(), Duration::ZERO);
    authority.set(Mode::Good);
    authority.clock.advance(seconds(1));
    assert_eq!(told(&judge, "good").await, "ok");
}

#[test]
fn a_verifier_outlives_the_runtime_that_it_was_used_in() {
    let authority = Authority::new();
    let judge = authority.introspection();
    authority.set(Mode::Hang);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let waiting = verdict(&judge, "good");
        let _ = tokio::time::timeout(Duration::from_millis(10), waiting).await;
    });
    drop(first);
    authority.set(Mode::Good);
    authority.clock.advance(seconds(1));
    assert_eq!(runtime().block_on(told(&judge, "good")), "ok");
}

pub fn source(error: &AuthError) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}
