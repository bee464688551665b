//! Streams that end when their key expires or is revoked.

use std::time::Duration;

use tokio::task::JoinHandle;
use tower_jwt_auth::credential::api_keys::ApiKeys;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::verifier::{MAX_STREAM_OUTAGE, StreamEnd};

use super::{setting, setting_with, settle};
use crate::sessions::store::Mode;

/// Opens a stream for the owner of this key, which already waits.
async fn stream(keys: &ApiKeys, key: &str) -> JoinHandle<StreamEnd> {
    let ended = tokio::spawn(keys.verify(key).await.unwrap().ended());
    settle().await;
    ended
}

/// Returns why a stream has ended, which it must have done.
async fn end(stream: JoinHandle<StreamEnd>) -> StreamEnd {
    let ended = tokio::time::timeout(Duration::from_secs(60), stream).await;
    ended.expect("the stream goes on").unwrap()
}

#[tokio::test]
async fn a_stream_ends_when_its_key_expires_to_the_second() {
    let setting = setting();
    let new = setting
        .keys
        .create("alice")
        .expires_in(Duration::from_secs(60));
    let key = new.issue().await.unwrap().text().to_owned();
    let ended = stream(&setting.keys, &key).await;
    for _ in 0..59 {
        setting.pass(Duration::from_secs(1));
        settle().await;
    }
    assert!(!ended.is_finished());
    setting.pass(Duration::from_secs(1));
    assert_eq!(end(ended).await, StreamEnd::Expired);
}

#[tokio::test]
async fn a_stream_ends_at_once_when_its_key_is_revoked_here() {
    let setting = setting();
    let (id, key) = setting.key().await;
    let (_, other) = setting.key().await;
    let ended = stream(&setting.keys, &key).await;
    let lives = stream(&setting.keys, &other).await;
    setting.keys.revoke(&id).await.unwrap();
    assert_eq!(end(ended).await, StreamEnd::Revoked);
    settle().await;
    assert!(!lives.is_finished());
    setting.keys.revoke_all("alice").await.unwrap();
    assert_eq!(end(lives).await, StreamEnd::Revoked);
}

#[tokio::test]
async fn a_remote_revocation_ends_a_stream_within_two_cache_periods() {
    let here = setting();
    let there = here.node();
    let (id, key) = here.key().await;
    let ended = stream(&there, &key).await;
    here.pass(Duration::from_secs(4));
    settle().await;
    here.keys.revoke(&id).await.unwrap();
    for _ in 0..10 {
        here.pass(Duration::from_secs(1));
        settle().await;
    }
    assert!(ended.is_finished());
    assert_eq!(end(ended).await, StreamEnd::Revoked);
}

#[tokio::test]
async fn a_pushed_revocation_ends_a_stream_at_once() {
    let revocations = MemoryRevocations::with_clock(crate::support::builder().1);
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let there = here.node_with(|builder| {
        let builder = builder.revocation(revocations.clone());
        builder.cache_for(Duration::from_secs(300))
    });
    let (id, key) = here.key().await;
    let ended = stream(&there, &key).await;
    assert!(!ended.is_finished());
    here.keys.revoke(&id).await.unwrap();
    assert_eq!(end(ended).await, StreamEnd::Revoked);
}

#[tokio::test]
async fn a_stream_survives_a_short_outage_of_the_key_store() {
    let setting = setting();
    let (_, key) = setting.key().await;
    let ended = stream(&setting.keys, &key).await;
    let pass = async |time: Duration| {
        for _ in 0..time.as_secs() {
            setting.pass(Duration::from_secs(1));
            settle().await;
        }
    };
    setting.store.set(Mode::Down);
    pass(MAX_STREAM_OUTAGE - Duration::from_secs(20)).await;
    assert!(!ended.is_finished());
    setting.store.set(Mode::Up);
    pass(Duration::from_secs(20)).await;
    assert!(!ended.is_finished());
    setting.store.set(Mode::Down);
    pass(MAX_STREAM_OUTAGE + Duration::from_secs(20)).await;
    assert_eq!(end(ended).await, StreamEnd::Unavailable);
}

#[tokio::test]
async fn streams_of_one_key_share_one_look_up_per_cache_period() {
    if cfg!(not(feature = "cache")) {
        return;
    }
    let setting = setting();
    let (_, key) = setting.key().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(stream(&setting.keys, &key).await);
    }
    let before = setting.store.calls("find");
    for _ in 0..50 {
        setting.pass(Duration::from_secs(1));
        settle().await;
    }
    let asked = setting.store.calls("find") - before;
    assert!((5..=11).contains(&asked), "{asked} look-ups");
    assert!(streams.iter().all(|stream| !stream.is_finished()));
}
