//! The store learns which sessions are in use: once each, with a limit, and without making requests wait.

use std::time::Duration;

use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::sessions::SessionErrorKind;
use tower_jwt_auth::{Sessions, TokenIssuer, TokenVerifier};

use super::store::{Mode, TestStore};
use super::{setting, settle};
use crate::support::{builder, key};

#[tokio::test]
async fn an_acknowledgement_is_one_write_per_generation() {
    let setting = setting();
    let mut pair = setting.login().await;
    for generation in 1..=5 {
        for _ in 0..100 {
            setting.request(&pair).await.unwrap();
        }
        assert_eq!(setting.store.calls("acknowledge"), generation);
        pair = setting.refresh(&pair.refresh_token).await.unwrap().1;
    }
}

#[tokio::test]
async fn a_failed_acknowledgement_fails_no_request_and_is_retried() {
    let setting = setting();
    let pair = setting.login().await;
    setting.store.set(Mode::Down);
    setting.request(&pair).await.unwrap();
    assert_eq!(setting.store.calls("acknowledge"), 1);
    setting.store.set(Mode::Up);
    setting.request(&pair).await.unwrap();
    assert_eq!(setting.store.calls("acknowledge"), 2);
    setting.request(&pair).await.unwrap();
    assert_eq!(setting.store.calls("acknowledge"), 2);
}

#[tokio::test]
async fn a_token_of_an_older_generation_is_not_acknowledged() {
    let setting = setting();
    let old = setting.login().await;
    let (_, new) = setting.refresh(&old.refresh_token).await.unwrap();
    setting.request(&new).await.unwrap();
    for _ in 0..10 {
        setting.request(&old).await.unwrap();
        setting.request(&new).await.unwrap();
    }
    assert_eq!(setting.store.calls("acknowledge"), 1);
}

/// Counts the acknowledgements per session and generation, if `sessions` are in use in turn.
async fn writes_per_generation(sessions: u32) -> f64 {
    const ROUNDS: u32 = 5;
    let store = TestStore::default();
    let tokens = builder().0.build().unwrap();
    let kept = Sessions::builder(&tokens, store.clone()).build().unwrap();
    let verifier = tokens.verifier();
    let mut access = Vec::new();
    for _ in 0..sessions {
        access.push(kept.open("alice").issue().await.unwrap().access_token);
    }
    for _ in 0..ROUNDS {
        for (number, token) in access.iter().enumerate() {
            verifier.verify(token).await.unwrap();
            if number % 1_000 == 999 {
                settle_all(&store).await;
            }
        }
        settle_all(&store).await;
    }
    f64::from(store.calls("acknowledge")) / f64::from(sessions)
}

/// Waits until no acknowledgement is in progress.
async fn settle_all(store: &TestStore) {
    loop {
        let before = store.calls("acknowledge");
        settle().await;
        if store.calls("acknowledge") == before {
            return;
        }
    }
}

#[tokio::test]
async fn many_sessions_in_use_cost_one_write_per_generation_each() {
    // The cases of 10,000 and 100,000 sessions are tested with the acknowledger itself.
    for sessions in [1, 1_000] {
        let writes = writes_per_generation(sessions).await;
        assert!(
            (1.0..=1.1).contains(&writes),
            "{sessions} sessions: {writes}"
        );
    }
}

#[tokio::test]
async fn a_store_that_hangs_leaves_a_bounded_number_of_tasks() {
    let store = TestStore::default();
    let tokens = builder().0.build().unwrap();
    let sessions = Sessions::builder(&tokens, store.clone()).build().unwrap();
    let mut access = Vec::new();
    for _ in 0..1_000 {
        access.push(sessions.open("alice").issue().await.unwrap().access_token);
    }
    store.set(Mode::Hangs);
    let verifier = tokens.verifier();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for _ in 0..10 {
        for token in &access {
            verifier.verify(token).await.unwrap();
        }
        settle().await;
    }
    let left = tasks() - before;
    assert!(
        (1..=4).contains(&left),
        "{left} tasks after 10,000 requests"
    );
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_hangs_is_abandoned_and_retried() {
    let setting = setting();
    let pair = setting.login().await;
    setting.store.set(Mode::Hangs);
    setting.request(&pair).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    setting.store.set(Mode::Up);
    setting.request(&pair).await.unwrap();
    settle().await;
    assert_eq!(setting.store.calls("acknowledge"), 2);
    assert!(
        setting
            .store
            .record(&super::sid(&pair))
            .await
            .is_acknowledged()
    );
}

/// The first refresh token, ten minutes after its successor was used.
async fn first_token_after_ten_minutes(
    setting: &super::Setting,
    verifier: &TokenVerifier,
) -> Result<TokenPair, SessionErrorKind> {
    let login = setting.login().await;
    let (_, next) = setting.refresh(&login.refresh_token).await.unwrap();
    verifier.verify(&next.access_token).await.unwrap();
    settle().await;
    setting.pass(600);
    let first = setting.refresh(&login.refresh_token).await;
    first.map(|(_, pair)| pair)
}

#[tokio::test]
async fn every_verifier_of_the_issuer_acknowledges() {
    let setting = setting();
    let with_roles = setting.tokens.verifier_builder().role_claim("roles");
    let with_roles = with_roles.build().unwrap();
    for verifier in [setting.tokens.verifier(), with_roles] {
        let first = first_token_after_ten_minutes(&setting, &verifier).await;
        assert_eq!(first.unwrap_err(), SessionErrorKind::ReuseDetected);
    }
    // A verifier that was created before the sessions.
    let tokens = builder().0.build().unwrap();
    let early = tokens.verifier();
    let store = TestStore::default();
    let sessions = Sessions::builder(&tokens, store.clone()).build().unwrap();
    let login = sessions.open("alice").issue().await.unwrap();
    early.verify(&login.access_token).await.unwrap();
    settle().await;
    assert_eq!(store.calls("acknowledge"), 1);
}

#[tokio::test]
async fn another_process_acknowledges_through_the_shared_store() {
    let setting = setting();
    let elsewhere = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("me")
        .audience("api")
        .clock(setting.clock.clone());
    let sharing = elsewhere
        .clone()
        .acknowledge_sessions(setting.store.clone());
    let sharing = sharing.build().unwrap();
    let first = first_token_after_ten_minutes(&setting, &sharing).await;
    assert_eq!(first.unwrap_err(), SessionErrorKind::ReuseDetected);

    // A process that does not share the store: the time limit for a lost response applies.
    let alone = elsewhere.build().unwrap();
    let first = first_token_after_ten_minutes(&setting, &alone).await;
    assert_eq!(first.unwrap_err(), SessionErrorKind::ReuseDetected);
}

#[test]
fn outside_a_runtime_nothing_is_acknowledged_and_nothing_breaks() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tokens: TokenIssuer = builder().0.build().unwrap();
    let store = TestStore::default();
    let sessions = Sessions::builder(&tokens, store.clone()).build().unwrap();
    let login = runtime.block_on(sessions.open("alice").issue()).unwrap();
    let verified = futures_util::FutureExt::now_or_never(
        tokens.verifier().verify(&login.access_token).boxed(),
    );
    assert!(verified.unwrap().is_ok());
    assert_eq!(store.calls("acknowledge"), 0);
    runtime.block_on(async {
        tokens.verifier().verify(&login.access_token).await.unwrap();
        settle().await;
    });
    assert_eq!(store.calls("acknowledge"), 1);
}

use futures_util::FutureExt as _;
