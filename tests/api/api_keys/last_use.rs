//! The time of a key's last use: it is written at most once a minute, and no request waits for it.

use std::time::{Duration, UNIX_EPOCH};

use super::{setting, settle, unknown, with_wrong_secret};
use crate::sessions::store::Mode;
use crate::support::NOW;

#[tokio::test]
async fn the_last_use_is_written_once_a_minute() {
    let setting = setting();
    let (_, key) = setting.key().await;
    let used = async || {
        settle().await;
        let listed = setting.keys.list("alice").await.unwrap();
        let used = listed[0].last_used_at?;
        Some(used.duration_since(UNIX_EPOCH).unwrap().as_secs() - NOW)
    };
    assert_eq!(used().await, None);
    for minute in 0..3 {
        for _ in 0..60 {
            assert_eq!(setting.verdict(&key).await, Ok(()));
            settle().await;
            setting.pass(Duration::from_secs(1));
        }
        assert_eq!(used().await, Some(minute * 60));
        assert_eq!(
            setting.store.calls("used"),
            u32::try_from(minute).unwrap() + 1
        );
    }
}

#[tokio::test]
async fn a_refused_key_is_not_in_use() {
    let setting = setting();
    let (id, key) = setting.key().await;
    let expired = setting
        .keys
        .create("alice")
        .expires_in(Duration::from_secs(1));
    let expired = expired.issue().await.unwrap().text().to_owned();
    setting.pass(Duration::from_secs(1));
    for bad in [unknown(1), with_wrong_secret(&key), expired] {
        assert!(setting.verdict(&bad).await.is_err());
    }
    setting.keys.revoke(&id).await.unwrap();
    assert!(setting.verdict(&key).await.is_err());
    settle().await;
    assert_eq!(setting.store.calls("used"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_until_its_use_is_written() {
    let setting = setting();
    let mut keys = Vec::new();
    for _ in 0..50 {
        let (_, key) = setting.key().await;
        keys.push(key);
    }
    for key in &keys {
        let began = tokio::time::Instant::now();
        assert_eq!(setting.verdict(key).await, Ok(()));
        setting.store.set(Mode::Hangs);
        settle().await;
        setting.store.set(Mode::Up);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    // The number of tasks that hang is fixed, however many keys are in use.
    let tasks = tokio::runtime::Handle::current().metrics();
    assert!(tasks.num_alive_tasks() <= 4, "{}", tasks.num_alive_tasks());
}

#[tokio::test]
async fn a_use_that_could_not_be_written_is_written_later() {
    let setting = setting();
    let (_, key) = setting.key().await;
    assert_eq!(setting.verdict(&key).await, Ok(()));
    setting.store.set(Mode::Down);
    settle().await;
    assert_eq!(setting.store.calls("used"), 1);
    setting.store.set(Mode::Up);
    assert_eq!(setting.verdict(&key).await, Ok(()));
    settle().await;
    assert_eq!(setting.store.calls("used"), 2);
    assert!(
        setting.keys.list("alice").await.unwrap()[0]
            .last_used_at
            .is_some()
    );
}

#[tokio::test]
async fn the_use_of_a_revoked_key_does_not_bring_it_back() {
    let setting = setting();
    let (id, key) = setting.key().await;
    assert_eq!(setting.verdict(&key).await, Ok(()));
    setting.keys.revoke(&id).await.unwrap(); // before the use is written, or after it
    settle().await;
    assert!(setting.store.inner.is_empty());
}
