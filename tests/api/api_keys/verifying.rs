//! Which keys are accepted, and how often the store is asked.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::credential::api_keys::{ApiKeyRecord, ApiKeyStore};
use tower_jwt_auth::verifier::CredentialKind;

use super::{forged, setting, setting_with, unknown, with_wrong_secret};
use crate::support::NOW;

#[derive(Deserialize)]
struct Tenant {
    tenant: String,
}

#[tokio::test]
async fn a_verified_key_says_what_it_was_created_with() {
    let setting = setting_with(|builder| builder.issuer("me"));
    let new = setting
        .keys
        .create("alice")
        .label("backup")
        .scope("files:read files:write")
        .scopes(["orders"])
        .roles(["robot"])
        .claim("tenant", "acme")
        .expires_in(Duration::from_secs(3600))
        .issue()
        .await
        .unwrap();
    let token = setting.keys.verify(new.text()).await.unwrap();
    assert_eq!(token.kind(), CredentialKind::ApiKey);
    assert_eq!(token.issuer(), Some("me"));
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(token.token_id(), Some(new.id()));
    let scopes: Vec<_> = token.scopes().collect();
    assert_eq!(scopes, ["files:read", "files:write", "orders"]);
    assert!(token.has_role("robot") && !token.has_role("admin"));
    assert_eq!(token.claims::<Tenant>().unwrap().tenant, "acme");
    assert_eq!(token.issued_at().unwrap().as_secs(), NOW);
    assert_eq!(token.expires_at().unwrap().as_secs(), NOW + 3600);
    assert_eq!(token.session_id(), None);
    assert!(!token.is_cached());

    let (_, forever) = setting.key().await;
    let token = setting.keys.verify(&forever).await.unwrap();
    assert_eq!(token.expires_at(), None);
    assert_eq!(token.scopes().count() + token.roles().count(), 0);
}

#[tokio::test]
async fn an_unknown_id_and_a_wrong_secret_look_the_same() {
    let setting = setting();
    let (_, key) = setting.key().await;
    let mut told = Vec::new();
    for bad in [unknown(1), with_wrong_secret(&key)] {
        let before = setting.store.calls("find");
        for _ in 0..5 {
            let error = setting.keys.verify(&bad).await.unwrap_err();
            told.push(format!("{error:?} {error} {:?}", error.www_authenticate()));
            assert_eq!(error.kind(), AuthErrorKind::InvalidCredential);
            assert_eq!(error.reason(), "api_key_unknown");
        }
        told.push(format!("{} look-ups", setting.store.calls("find") - before));
    }
    let (unknown, wrong) = told.split_at(6);
    assert_eq!(unknown, wrong);
    assert_eq!(setting.events(), ["api_key_created of alice"]);
    // Wrong secrets with the same id do not harm the key.
    assert_eq!(setting.verdict(&key).await, Ok(()));
}

#[tokio::test]
async fn only_the_right_secret_learns_that_a_key_has_expired() {
    let setting = setting();
    let expiry = UNIX_EPOCH + Duration::from_secs(NOW + 100);
    let new = setting.keys.create("alice").expires_at(expiry);
    let key = new.issue().await.unwrap().text().to_owned();
    setting.pass(Duration::from_millis(99_999));
    assert_eq!(setting.verdict(&key).await, Ok(()));
    setting.events();
    setting.pass(Duration::from_millis(1));
    for _ in 0..2 {
        assert_eq!(setting.verdict(&key).await, Err(AuthErrorKind::Expired));
        let wrong = setting.verdict(&with_wrong_secret(&key)).await;
        assert_eq!(wrong, Err(AuthErrorKind::InvalidCredential));
        assert_eq!(setting.events(), ["api_key_refused of alice"]);
        setting.pass(Duration::from_secs(60)); // from the cache, and from the store
    }
}

#[tokio::test]
async fn among_100_000_keys_a_wrong_one_costs_no_more_look_ups() {
    let setting = setting();
    for number in 0..100_000_u64 {
        let owner = format!("owner {}", number % 10_000);
        let mut record = ApiKeyRecord::new(format!("{number:016}"), owner, number);
        record.secret_digest = "A".repeat(43);
        assert!(setting.store.inner.insert(&record, 50).await.unwrap());
    }
    let (_, right) = setting.key().await;
    let created = setting.store.all_calls();
    let refused = Err(AuthErrorKind::InvalidCredential);
    let wrong = with_wrong_secret(&right);
    let unknown_id = forged("x".repeat(16).as_str(), &"s".repeat(43));
    let of_another = forged(&format!("{:016}", 70_000), &"s".repeat(43));
    for (key, expected, asked) in [
        (&right, Ok(()), 1),
        (&unknown_id, refused, 2),
        (&of_another, refused, 3),
    ] {
        assert_eq!(setting.verdict(key).await, expected);
        assert_eq!(setting.store.calls("find"), asked);
    }
    assert_eq!(setting.verdict(&wrong).await, refused);
    super::settle().await;
    let others = setting.store.all_calls() - created - setting.store.calls("find");
    assert_eq!(others, 1, "only the last use of the right key is written");
}

#[tokio::test]
async fn a_malformed_row_is_an_outage_and_not_a_refusal() {
    let setting = setting();
    for (digest, payload) in [
        ("short".to_owned(), "{}"),
        ("A".repeat(43), "not json"),
        ("A".repeat(43), r#"{"scopes":["two words\""]}"#),
    ] {
        let (id, key) = setting.key().await;
        let target = tower_jwt_auth::credential::api_keys::ApiKeyTarget::Key(&id);
        setting.store.inner.revoke(target, 1).await.unwrap();
        let mut record = ApiKeyRecord::new(&id, "alice", 1);
        record.secret_digest = digest;
        record.payload = payload.to_owned();
        setting.store.inner.insert(&record, 50).await.unwrap();
        let refused = setting.verdict(&key).await;
        assert_eq!(refused, Err(AuthErrorKind::Unavailable), "{payload}");
    }
}

#[cfg(feature = "cache")]
mod with_a_cache {
    use tokio::task::JoinSet;

    use super::super::{settle, verdict};
    use super::*;

    #[tokio::test]
    async fn a_key_is_looked_up_once_per_cache_period() {
        let setting = setting();
        let (_, key) = setting.key().await;
        for expected in 1..4 {
            for _ in 0..10 {
                assert_eq!(setting.verdict(&key).await, Ok(()));
            }
            assert_eq!(setting.store.calls("find"), expected);
            setting.pass(Duration::from_millis(4999));
            assert_eq!(setting.verdict(&key).await, Ok(()));
            assert_eq!(setting.store.calls("find"), expected);
            setting.pass(Duration::from_millis(1));
        }
        // A clock that was set back does not prolong an answer.
        assert_eq!(setting.verdict(&key).await, Ok(()));
        let before = setting.store.calls("find");
        setting
            .clock
            .set(UNIX_EPOCH + Duration::from_secs(NOW - 1000));
        assert_eq!(setting.verdict(&key).await, Ok(()));
        assert_eq!(setting.store.calls("find"), before + 1);
    }

    #[tokio::test]
    async fn with_a_cache_period_of_zero_each_request_asks_the_store() {
        let setting = setting_with(|builder| builder.cache_for(Duration::ZERO));
        let (_, key) = setting.key().await;
        for expected in 1..5 {
            assert_eq!(setting.verdict(&key).await, Ok(()));
            assert_eq!(setting.store.calls("find"), expected);
        }
    }

    #[tokio::test]
    async fn many_requests_with_one_key_share_one_look_up() {
        let setting = setting();
        let (_, right) = setting.key().await;
        let refused = Err(AuthErrorKind::InvalidCredential);
        for (key, expected) in [(right, Ok(())), (unknown(1), refused)] {
            let before = setting.store.calls("find");
            let gate = setting.store.hold_answers();
            let mut requests = JoinSet::new();
            for _ in 0..64 {
                let (keys, key) = (setting.keys.clone(), key.clone());
                requests.spawn(async move { verdict(&keys, &key).await });
            }
            settle().await;
            gate.close();
            while let Some(verdict) = requests.join_next().await {
                assert_eq!(verdict.unwrap(), expected);
            }
            assert_eq!(setting.store.calls("find"), before + 1);
        }
    }

    #[tokio::test]
    async fn unknown_ids_do_not_evict_known_keys() {
        let setting = setting_with(|builder| builder.cached_keys(10));
        let (_, key) = setting.key().await;
        assert_eq!(setting.verdict(&key).await, Ok(()));
        for number in 0..30_000 {
            let refused = setting.verdict(&unknown(number)).await;
            assert_eq!(refused, Err(AuthErrorKind::InvalidCredential));
        }
        let before = setting.store.calls("find");
        assert_eq!(setting.verdict(&key).await, Ok(()));
        assert_eq!(
            setting.store.calls("find"),
            before,
            "the key was pushed out"
        );
    }

    #[tokio::test]
    async fn keys_beyond_the_capacity_are_looked_up_again() {
        let setting = setting_with(|builder| builder.cached_keys(0).max_keys_per_owner(1000));
        let (_, key) = setting.key().await;
        for _ in 0..3 {
            assert_eq!(setting.verdict(&key).await, Ok(()));
        }
        assert!(setting.store.calls("find") <= 3);
    }

    #[tokio::test]
    async fn an_unknown_id_is_looked_up_once_per_cache_period() {
        let setting = setting();
        for expected in 1..4 {
            for _ in 0..10 {
                let refused = setting.verdict(&unknown(7)).await;
                assert_eq!(refused, Err(AuthErrorKind::InvalidCredential));
            }
            assert_eq!(setting.store.calls("find"), expected);
            setting.pass(Duration::from_secs(5));
        }
    }
}
