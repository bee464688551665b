//! Revoking keys on one node, and removing expired ones.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::credential::api_keys::EXPIRED_KEY_RETENTION;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::sessions::MemorySessions;

use super::{setting, settle, verdict, with_wrong_secret};
#[cfg(feature = "cache")]
use crate::sessions::store::Mode;
use crate::support::builder;

const REVOKED: Result<(), AuthErrorKind> = Err(AuthErrorKind::Revoked);
const UNKNOWN: Result<(), AuthErrorKind> = Err(AuthErrorKind::InvalidCredential);

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_for_good() {
    let setting = setting();
    let (id, key) = setting.key().await;
    let (_, other) = setting.key().await;
    assert_eq!(setting.verdict(&key).await, Ok(()));
    setting.events();
    assert!(setting.keys.revoke(&id).await.unwrap());
    assert_eq!(setting.events(), ["api_key_revoked of alice"]);
    if cfg!(feature = "cache") {
        assert_eq!(setting.verdict(&key).await, REVOKED);
        assert_eq!(setting.events(), ["api_key_refused of alice"]);
        assert_eq!(setting.verdict(&with_wrong_secret(&key)).await, UNKNOWN);
        assert!(setting.events().is_empty());
    }
    assert!(!setting.keys.revoke(&id).await.unwrap());
    for seconds in [5, 3600, 36_000] {
        setting.pass(Duration::from_secs(seconds));
        assert_eq!(setting.verdict(&key).await, UNKNOWN);
    }
    assert_eq!(setting.verdict(&other).await, Ok(()));
    assert_eq!(setting.keys.list("alice").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_cannot_revoke_the_key_of_another() {
    let setting = setting();
    let (id, key) = setting.key().await;
    for (owner, id) in [
        ("bob", &*id),
        ("", &*id),
        ("alice\0", &*id),
        ("alice", "0000000000000000"),
        ("alice", ""),
        ("alice", "nul\0"),
        ("alice", &*key),
    ] {
        assert!(
            !setting.keys.revoke_owned_by(owner, id).await.unwrap(),
            "{owner}"
        );
    }
    assert_eq!(setting.verdict(&key).await, Ok(()));
    assert!(!setting.keys.revoke("nul\0").await.unwrap());
    assert_eq!(setting.keys.revoke_all("bob").await.unwrap(), 0);
    assert!(setting.keys.revoke_owned_by("alice", &id).await.unwrap());
    assert_ne!(setting.verdict(&key).await, Ok(()));
}

#[tokio::test]
async fn all_keys_of_an_owner_are_revoked_however_many_there_are() {
    let setting = super::setting_with(|builder| builder.max_keys_per_owner(2000));
    let mut texts = Vec::new();
    for _ in 0..1203 {
        texts.push(setting.key().await.1);
    }
    let other = setting.keys.create("bob").issue().await.unwrap();
    for text in texts.iter().step_by(100) {
        assert_eq!(setting.verdict(text).await, Ok(()));
    }
    setting.events();
    assert_eq!(setting.keys.revoke_all("alice").await.unwrap(), 1203);
    assert_eq!(setting.events().len(), 1203);
    for text in &texts {
        assert_ne!(setting.verdict(text).await, Ok(()));
    }
    assert_eq!(setting.verdict(other.text()).await, Ok(()));
    assert_eq!(setting.keys.revoke_all("alice").await.unwrap(), 0);
}

#[tokio::test]
async fn a_revocation_beats_a_look_up_in_flight() {
    let setting = setting();
    let (id, key) = setting.key().await;
    let gate = setting.store.hold_answers();
    let (keys, text) = (setting.keys.clone(), key.clone());
    let request = tokio::spawn(async move { verdict(&keys, &text).await });
    settle().await;
    assert_eq!(setting.store.calls("find"), 1, "it has read the key");
    assert!(setting.keys.revoke(&id).await.unwrap());
    gate.close();
    assert_eq!(request.await.unwrap(), REVOKED);
    assert_ne!(setting.verdict(&key).await, Ok(()));
}

#[tokio::test]
async fn log_out_everywhere_keeps_the_keys_of_the_owner() {
    let revocations = MemoryRevocations::with_clock(builder().1);
    let (tokens, clock) = builder();
    let tokens = tokens.revocation(revocations.clone()).build().unwrap();
    let sessions = Sessions::builder(&tokens, MemorySessions::new());
    let sessions = sessions.build().unwrap();
    let setting =
        super::setting_with(|builder| builder.revocation(revocations.clone()).issuer("me"));
    let (id, key) = setting.key().await;
    let login = sessions.open("alice").issue().await.unwrap();
    clock.advance(Duration::from_secs(1));
    for cached in [false, true] {
        sessions.end_all("alice").await.unwrap();
        tokens.revoke_subject("alice").await.unwrap();
        tokens.revoke_session(&id).await.unwrap();
        assert!(tokens.verifier().verify(&login.access_token).await.is_err());
        assert_eq!(setting.verdict(&key).await, Ok(()), "cached: {cached}");
    }
    // To revoke all keys, there is another call.
    assert_eq!(setting.keys.revoke_all("alice").await.unwrap(), 1);
    assert_ne!(setting.verdict(&key).await, Ok(()));
}

#[tokio::test]
async fn a_token_with_the_id_of_a_key_is_not_revoked_with_it() {
    let revocations = MemoryRevocations::with_clock(builder().1);
    let setting = super::setting_with(|builder| builder.revocation(revocations.clone()));
    let (id, _) = setting.key().await;
    assert!(setting.keys.revoke(&id).await.unwrap());
    assert_eq!(revocations.len(), 1);
    use tower_jwt_auth::revocation::{RevocationQuery, RevocationStore};
    for query in [
        RevocationQuery::new("alice", &id, 1),
        RevocationQuery::new("alice", &id, 1).with_issuer("me"),
    ] {
        assert!(!revocations.is_revoked(&query).await.unwrap());
    }
}

#[tokio::test]
async fn expired_keys_are_removed_in_steps_after_30_days() {
    let setting = setting();
    let hour = Duration::from_secs(3600);
    let mut texts = Vec::new();
    for _ in 0..5 {
        let new = setting.keys.create("alice").expires_in(hour).issue().await;
        texts.push(new.unwrap().text().to_owned());
    }
    let (_, forever) = setting.key().await;
    setting.pass(hour + EXPIRED_KEY_RETENTION - Duration::from_micros(1));
    assert_eq!(setting.keys.clean_up(100).await.unwrap(), 0);
    let expired = Err(AuthErrorKind::Expired);
    assert_eq!(setting.verdict(&texts[0]).await, expired);
    setting.pass(Duration::from_micros(1));
    assert_eq!(setting.keys.clean_up(3).await.unwrap(), 3);
    assert_eq!(setting.keys.clean_up(3).await.unwrap(), 2);
    assert_eq!(setting.keys.clean_up(3).await.unwrap(), 0);
    setting.pass(Duration::from_secs(5));
    assert_eq!(setting.verdict(&texts[0]).await, UNKNOWN);
    assert_eq!(setting.verdict(&forever).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn expired_keys_are_removed_in_the_background() {
    let setting = setting();
    let new = setting
        .keys
        .create("alice")
        .expires_in(Duration::from_secs(1));
    drop(new.issue().await.unwrap());
    assert!(setting.keys.clean_up_every(Duration::ZERO).is_err());
    let task = setting
        .keys
        .clean_up_every(Duration::from_secs(60))
        .unwrap();
    setting.pass(EXPIRED_KEY_RETENTION + Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(setting.store.inner.is_empty());
    drop(task);
    let calls = setting.store.calls("clean_up");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(setting.store.calls("clean_up"), calls);
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_revocation_whose_response_was_lost_can_be_repeated() {
    for all in [false, true] {
        let setting = setting();
        let (id, key) = setting.key().await;
        assert_eq!(setting.verdict(&key).await, Ok(()));
        let revoke = async || match all {
            true => setting.keys.revoke_all("alice").await.map(drop),
            false => setting.keys.revoke_owned_by("alice", &id).await.map(drop),
        };
        setting.store.set(Mode::LosesAnswers);
        assert!(revoke().await.is_err());
        setting.store.set(Mode::Up);
        // The key is deleted, but the client was not told.
        assert!(revoke().await.is_ok());
        assert_eq!(setting.verdict(&key).await, REVOKED, "all: {all}");
    }
}
