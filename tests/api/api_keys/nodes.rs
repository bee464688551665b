//! Two nodes with one store: a key that one revokes is refused by the other.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::MemoryRevocations;

use super::{setting, setting_with, verdict, with_wrong_secret};
use crate::sessions::store::{Mode, TestRevocations};
use crate::support::NOW;

const REVOKED: Result<(), AuthErrorKind> = Err(AuthErrorKind::Revoked);
const UNKNOWN: Result<(), AuthErrorKind> = Err(AuthErrorKind::InvalidCredential);

#[tokio::test]
async fn a_key_that_one_node_creates_is_good_on_the_other_at_once() {
    let here = setting();
    let there = here.node();
    for _ in 0..5 {
        let (_, key) = here.key().await;
        assert_eq!(verdict(&there, &key).await, Ok(()));
    }
}

#[tokio::test]
async fn another_node_refuses_a_revoked_key_within_the_cache_period() {
    let here = setting();
    let there = here.node();
    let (id, key) = here.key().await;
    assert_eq!(verdict(&there, &key).await, Ok(()));
    here.pass(Duration::from_secs(3));
    assert!(here.keys.revoke(&id).await.unwrap());
    assert_eq!(here.verdict(&key).await, UNKNOWN, "it was never seen here");
    // At the latest one cache period after the other node asked the store.
    here.pass(Duration::from_secs(2));
    assert_eq!(verdict(&there, &key).await, UNKNOWN);
}

#[tokio::test]
async fn a_shared_revocation_store_tells_other_nodes_at_once() {
    let clock = crate::support::builder().1;
    let revocations = MemoryRevocations::with_clock(clock);
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let there = here.node_with(|builder| {
        builder
            .revocation(revocations.clone())
            .cache_for(Duration::from_secs(300))
    });
    for _ in 0..3 {
        let (id, key) = here.key().await;
        let (_, other) = here.key().await;
        assert_eq!(verdict(&there, &key).await, Ok(()));
        assert!(here.keys.revoke_owned_by("alice", &id).await.unwrap());
        assert_ne!(verdict(&there, &key).await, Ok(()));
        assert_eq!(verdict(&there, &other).await, Ok(()));
    }
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_pushed_revocation_holds_at_once_and_until_the_end() {
    use std::sync::Arc;
    use tower_jwt_auth::revocation::{CachedRevocations, Revocation};

    // The cache remembers a pushed revocation for a few seconds, and the key service for five minutes.
    let clock = crate::support::builder().1;
    let database = MemoryRevocations::with_clock(clock);
    let here = setting_with(|builder| builder.revocation(database.clone()));
    let pushes = CachedRevocations::new(database.clone()).clock(here.clock.clone());
    let pushes = Arc::new(pushes);
    let there = here.node_with(|builder| {
        builder
            .revocation(Arc::clone(&pushes))
            .cache_for(Duration::from_secs(300))
    });
    let (id, key) = here.key().await;
    let (_, other) = here.key().await;
    assert_eq!(verdict(&there, &key).await, Ok(()));
    assert!(here.keys.revoke(&id).await.unwrap());
    let until = std::time::UNIX_EPOCH + Duration::from_secs(NOW + 3600);
    let issuer = Some("tower-jwt-auth/api-keys");
    pushes.apply(&Revocation::token(issuer, &id, until));
    assert_eq!(verdict(&there, &key).await, REVOKED);
    for _ in 0..100 {
        here.pass(Duration::from_secs(5));
        assert_ne!(verdict(&there, &key).await, Ok(()));
        assert_eq!(verdict(&there, &other).await, Ok(()));
    }
}

#[tokio::test]
async fn an_outage_of_the_revocation_store_is_a_503() {
    let clock = crate::support::builder().1;
    let revocations = TestRevocations::new(&clock);
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let (id, key) = here.key().await;
    assert_eq!(here.verdict(&key).await, Ok(()));
    revocations.set(Mode::Down);
    assert_eq!(here.verdict(&key).await, Err(AuthErrorKind::Unavailable));
    // An invalid key is refused without asking.
    assert_eq!(here.verdict(&with_wrong_secret(&key)).await, UNKNOWN);
    assert!(here.keys.revoke(&id).await.is_err());
    assert_ne!(here.verdict(&key).await, Ok(()));
    revocations.set(Mode::Up);
    assert_ne!(here.verdict(&key).await, Ok(()));
}

#[tokio::test]
async fn a_revocation_holds_on_nodes_whose_clocks_differ() {
    for differs in [1200_u64, 0] {
        let shared = ManualClock::at_unix_seconds(NOW + differs);
        let revocations = MemoryRevocations::with_clock(shared.clone());
        let here = setting_with(|builder| builder.revocation(revocations.clone()));
        let ahead = ManualClock::at_unix_seconds(NOW + differs);
        let there = here.node_with(|builder| {
            let builder = builder.revocation(revocations.clone());
            builder
                .clock(ahead.clone())
                .cache_for(Duration::from_secs(300))
        });
        let (id, key) = here.key().await;
        assert_eq!(verdict(&there, &key).await, Ok(()));
        assert!(here.keys.revoke(&id).await.unwrap());
        for _ in 0..100 {
            assert_ne!(verdict(&there, &key).await, Ok(()));
            for clock in [&here.clock, &ahead, &shared] {
                clock.advance(Duration::from_secs(5));
            }
        }
    }
}

#[tokio::test]
async fn a_key_can_be_revoked_like_any_token_that_expires() {
    let clock = crate::support::builder().1;
    let revocations = MemoryRevocations::with_clock(clock);
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let tokens = crate::support::builder().0.revocation(revocations);
    let tokens = tokens.build().unwrap();
    let new = here
        .keys
        .create("alice")
        .expires_in(Duration::from_secs(60));
    let key = new.issue().await.unwrap().text().to_owned();
    let token = here.keys.verify(&key).await.unwrap();
    tokens.revoke(&token).await.unwrap();
    assert_eq!(here.verdict(&key).await, REVOKED);
}

#[tokio::test]
async fn a_revocation_outlives_every_copy_of_the_key() {
    // With the longest cache period, and a copy that was cached just before the key was revoked.
    let clock = crate::support::builder().1;
    let revocations = MemoryRevocations::with_clock(clock.clone());
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let there = here.node_with(|builder| {
        builder
            .revocation(revocations.clone())
            .cache_for(Duration::from_secs(300))
    });
    let (id, key) = here.key().await;
    assert_eq!(verdict(&there, &key).await, Ok(()));
    assert!(here.keys.revoke(&id).await.unwrap());
    for _ in 0..400 {
        let refused = verdict(&there, &key).await;
        assert!(refused == REVOKED || refused == UNKNOWN, "{refused:?}");
        here.pass(Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_revocation_that_cannot_be_shared_fails_but_takes_effect() {
    let clock = crate::support::builder().1;
    let revocations = TestRevocations::new(&clock);
    let here = setting_with(|builder| builder.revocation(revocations.clone()));
    let there = here.node();
    let (id, key) = here.key().await;
    let (_, second) = here.key().await;
    assert_eq!(verdict(&there, &key).await, Ok(()));
    assert_eq!(here.verdict(&key).await, Ok(()));
    here.events();
    revocations.set(Mode::Down);
    let error = here.keys.revoke_owned_by("alice", &id).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 503);
    assert_eq!(
        here.events(),
        [
            "api_key_revoked of alice",
            "api_key_revocation_failed of alice"
        ]
    );
    assert_ne!(here.verdict(&key).await, Ok(()), "refused here at once");
    here.pass(Duration::from_secs(5));
    assert_eq!(verdict(&there, &key).await, UNKNOWN);
    // All other keys of the owner are revoked anyway.
    assert_eq!(verdict(&there, &second).await, Ok(()));
    assert!(here.keys.revoke_all("alice").await.is_err());
    assert!(here.store.inner.is_empty());
    // An administrator who repeats the call informs the other nodes again.
    revocations.set(Mode::Up);
    assert!(!here.keys.revoke(&id).await.unwrap());
}
