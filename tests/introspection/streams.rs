//! Streams end when their token expires, and when the server says that it is no longer active.

use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinHandle, yield_now};
use tower_jwt_auth::revocation::{MemoryRevocations, RevocationStore as _};
use tower_jwt_auth::verifier::StreamEnd;

use crate::authority::{Authority, Mode, active_with, verdict};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns how the stream ended, which it must have done.
async fn end(ended: JoinHandle<StreamEnd>) -> StreamEnd {
    let limit = seconds(60);
    tokio::time::timeout(limit, ended)
        .await
        .expect("the stream goes on")
        .unwrap()
}

/// Advances the clock second by second, so that all tasks can run.
async fn pass(authority: &Authority, number: u64) {
    for _ in 0..number {
        authority.clock.advance(seconds(1));
        for _ in 0..20 {
            yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let authority = Authority::new();
    let token = verdict(&authority.introspection(), "good").await.unwrap();
    let ended = tokio::spawn(token.ended());
    pass(&authority, 3600 + 29).await;
    assert!(!ended.is_finished());
    pass(&authority, 1).await;
    assert_eq!(end(ended).await, StreamEnd::Expired);
}

#[tokio::test]
async fn a_stream_ends_when_the_token_becomes_inactive() {
    for answer in [
        active_with(json!({})),
        active_with(json!({"sub": null, "username": "x"})),
    ] {
        let authority = Authority::new();
        authority.says("t", answer);
        let token = verdict(&authority.introspection(), "t").await.unwrap();
        let ended = tokio::spawn(token.ended());
        pass(&authority, 600).await;
        assert!(!ended.is_finished());
        let count = authority.count();
        assert!((5..=11).contains(&count), "{count}");
        authority.says("t", json!({"active": false}));
        pass(&authority, 120).await;
        assert_eq!(end(ended).await, StreamEnd::Revoked);
    }
}

#[tokio::test]
async fn a_thousand_streams_of_one_token_share_one_introspection() {
    let authority = Authority::new();
    let token = verdict(&authority.introspection(), "good").await.unwrap();
    let ended: Vec<_> = (0..1000).map(|_| tokio::spawn(token.ended())).collect();
    authority.says("good", json!({"active": false}));
    pass(&authority, 120).await;
    for ended in ended {
        assert_eq!(end(ended).await, StreamEnd::Revoked);
    }
    if cfg!(feature = "cache") {
        assert!(authority.count() <= 3, "{}", authority.count());
    }
}

#[tokio::test]
async fn a_stream_survives_a_short_outage_but_not_a_long_one() {
    let authority = Authority::new();
    let token = verdict(&authority.introspection(), "good").await.unwrap();
    let ended = tokio::spawn(token.ended());
    authority.set(Mode::Refuse);
    // The answer is in the cache for the first minute.
    let short = if cfg!(feature = "cache") { 90 } else { 30 };
    pass(&authority, short).await;
    authority.set(Mode::Good);
    pass(&authority, 60).await;
    assert!(!ended.is_finished());
    authority.set(Mode::Refuse);
    pass(&authority, 60 + 60 + 16).await;
    assert_eq!(end(ended).await, StreamEnd::Unavailable);
}

#[tokio::test]
async fn a_stream_ends_at_once_when_its_token_is_revoked_here() {
    let authority = Authority::new();
    let store = MemoryRevocations::with_clock(authority.clock.clone());
    let judge = authority
        .builder()
        .revocation(store.clone())
        .build()
        .unwrap();
    let token = verdict(&judge, "good").await.unwrap();
    let ended = tokio::spawn(token.ended());
    yield_now().await;
    store.revoke(&[token.revocation().unwrap()]).await.unwrap();
    assert_eq!(end(ended).await, StreamEnd::Revoked);
}
