//! What is cached, for how long, and within which limits.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tower_jwt_auth::clock::Clock as _;
use tower_jwt_auth::credential::CredentialVerifier as _;

use crate::authority::{Authority, Mode, NOW, active_with, told, verdict};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn sixty_four_requests_with_one_token_are_one_introspection() {
    let authority = Authority::new();
    authority.state().delay = seconds(1);
    let judge = authority.introspection();
    let all = join_all((0..64).map(|_| verdict(&judge, "good"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(authority.count(), 1);
    let token = verdict(&judge, "good").await.unwrap();
    assert!(token.is_cached() && !all[0].as_ref().unwrap().is_cached());
    assert_eq!(authority.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_with_few_tokens_ask_once_about_each() {
    let authority = Authority::new();
    for number in 0..20 {
        authority.says(&format!("t{number}"), active_with(json!({"sub": "bob"})));
    }
    let judge = authority.introspection();
    let tasks = (0..640).map(|number| {
        let judge = judge.clone();
        tokio::spawn(async move { told(&judge, &format!("t{}", number % 20)).await })
    });
    for verdict in join_all(tasks).await {
        assert_eq!(verdict.unwrap(), "ok");
    }
    assert_eq!(authority.count(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_for_its_time_and_no_longer() {
    let authority = Authority::new();
    let judge = authority.introspection();
    assert_eq!(told(&judge, "good").await, "ok");
    authority.says("good", json!({"active": false}));
    authority
        .clock
        .advance(seconds(60) - Duration::from_micros(1));
    assert_eq!(told(&judge, "good").await, "ok");
    assert!(judge.peek("good").unwrap().is_ok(), "known without waiting");
    authority.clock.advance(Duration::from_micros(1));
    assert!(judge.peek("good").is_none());
    assert_eq!(told(&judge, "good").await, "401 token_not_active");
    assert_eq!(authority.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_never_used_after_its_expiry() {
    let authority = Authority::new();
    authority.says("short", active_with(json!({"exp": NOW + 10})));
    let judge = authority.introspection();
    assert_eq!(told(&judge, "short").await, "ok");
    authority.clock.advance(seconds(9));
    assert_eq!(told(&judge, "short").await, "ok");
    assert_eq!(authority.count(), 1);
    authority.clock.advance(seconds(1));
    authority.says("short", json!({"active": false}));
    assert_eq!(told(&judge, "short").await, "401 token_not_active");
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_is_behind_is_believed_within_the_leeway() {
    let authority = Authority::new();
    authority.says("late", active_with(json!({"exp": NOW - 29})));
    authority.says("over", active_with(json!({"exp": NOW - 30})));
    authority.says(
        "early",
        active_with(json!({"nbf": NOW + 30, "iat": NOW + 30})),
    );
    let judge = authority.introspection();
    assert_eq!(told(&judge, "late").await, "ok");
    assert_eq!(told(&judge, "late").await, "ok");
    assert_eq!(authority.count(), 2, "it is not used after its expiry");
    assert_eq!(told(&judge, "over").await, "401 expired");
    assert_eq!(told(&judge, "early").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_prolong_answers() {
    let authority = Authority::new();
    let judge = authority.introspection();
    assert_eq!(told(&judge, "good").await, "ok");
    authority.clock.set(authority.clock.now() - seconds(5));
    assert_eq!(told(&judge, "good").await, "ok");
    assert_eq!(authority.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_inactive_token_is_remembered_for_5_seconds() {
    let authority = Authority::new();
    let judge = authority.introspection();
    for _ in 0..10 {
        assert_eq!(told(&judge, "new").await, "401 token_not_active");
    }
    assert_eq!(authority.count(), 1);
    authority.says("new", active_with(json!({})));
    authority.clock.advance(seconds(5));
    assert_eq!(told(&judge, "new").await, "ok");
    assert_eq!(authority.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn invented_tokens_do_not_evict_good_answers() {
    let authority = Authority::new();
    let judge = authority.builder().cached_tokens(100).build().unwrap();
    assert_eq!(told(&judge, "good").await, "ok");
    for number in 0..10_000 {
        assert_eq!(
            told(&judge, &format!("x{number}")).await,
            "401 token_not_active"
        );
    }
    let before = authority.count();
    assert_eq!(told(&judge, "good").await, "ok");
    assert_eq!(authority.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_duration_of_zero_turns_the_cache_off() {
    let authority = Authority::new();
    let judge = authority
        .builder()
        .cache_for(Duration::ZERO)
        .build()
        .unwrap();
    for count in 1..=3 {
        let token = verdict(&judge, "good").await.unwrap();
        assert!(!token.is_cached());
        assert_eq!(told(&judge, "bad").await, "401 token_not_active");
        assert_eq!(authority.count(), 2 * count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_its_introspection_running() {
    let authority = Authority::new();
    authority.state().delay = seconds(1);
    let judge = authority.introspection();
    let dropped = tokio::time::timeout(Duration::from_millis(10), verdict(&judge, "good"));
    assert!(dropped.await.is_err());
    assert_eq!(told(&judge, "good").await, "ok", "it joins the question");
    assert_eq!(authority.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn text_that_cannot_be_a_token_is_refused_without_a_request() {
    let authority = Authority::new();
    let judge = authority.introspection();
    for (token, reason) in [
        ("x".repeat(8193), "token_too_long"),
        ("t\u{e4}st".to_owned(), "not_an_access_token"),
        ("a\u{7f}b".to_owned(), "not_an_access_token"),
        (String::new(), "not_an_access_token"),
    ] {
        let error = judge.verify_credential(&token).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.reason()), (401, reason));
        assert!(judge.peek(&token).unwrap().is_err());
    }
    assert_eq!(authority.count(), 0);
    authority.set(Mode::Refuse);
    assert_eq!(told(&judge, &"x".repeat(8192)).await, "503 unavailable");
}
