//! A store that is down or hangs: a 503, never a 401, and never a pass.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::credential::api_keys::ApiKeyErrorKind;

use super::{setting, setting_with, unknown, with_wrong_secret};
use crate::sessions::store::Mode;

const UNAVAILABLE: Result<(), AuthErrorKind> = Err(AuthErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn an_outage_is_a_503_for_every_call() {
    let setting = setting();
    let (id, key) = setting.key().await;
    for mode in [Mode::Down, Mode::Hangs] {
        setting.store.set(mode);
        let keys = &setting.keys;
        for error in [
            keys.create("alice").issue().await.err(),
            keys.list("alice").await.err(),
            keys.revoke(&id).await.err(),
            keys.revoke_owned_by("alice", &id).await.err(),
            keys.revoke_all("alice").await.err(),
            keys.clean_up(1).await.err(),
        ] {
            let error = error.expect("the store is down");
            assert_eq!(error.kind(), ApiKeyErrorKind::Unavailable);
            assert_eq!(error.status().as_u16(), 503);
            assert_eq!(error.code(), "temporarily_unavailable");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
            assert!(std::error::Error::source(&error).is_some());
            assert!(!error.body().contains("down"));
        }
        for key in [&*key, &*unknown(3), &*with_wrong_secret(&key)] {
            let error = keys.verify(key).await.unwrap_err();
            assert_eq!(error.kind(), AuthErrorKind::Unavailable);
            assert_eq!(error.status().as_u16(), 503);
        }
    }
    setting.store.set(Mode::Up);
    assert_eq!(
        setting.verdict(&key).await,
        Ok(()),
        "an outage is not remembered"
    );
}

#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn a_cached_key_survives_an_outage_only_for_its_cache_period() {
    for mode in [Mode::Down, Mode::Hangs] {
        let setting = setting();
        let (_, key) = setting.key().await;
        assert_eq!(setting.verdict(&key).await, Ok(()));
        setting.store.set(mode);
        setting.pass(Duration::from_millis(4999));
        assert_eq!(setting.verdict(&key).await, Ok(()));
        let wrong = setting.verdict(&with_wrong_secret(&key)).await;
        assert_eq!(wrong, Err(AuthErrorKind::InvalidCredential));
        setting.pass(Duration::from_millis(1));
        for _ in 0..3 {
            assert_eq!(setting.verdict(&key).await, UNAVAILABLE);
        }
        setting.store.set(Mode::Up);
        assert_eq!(setting.verdict(&key).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_to_the_store_takes_longer_than_its_limit() {
    let limit = Duration::from_millis(300);
    let setting = setting_with(|builder| builder.store_timeout(limit));
    let (id, key) = setting.key().await;
    setting.store.set(Mode::Hangs);
    let began = tokio::time::Instant::now();
    assert_eq!(setting.verdict(&key).await, UNAVAILABLE);
    assert_eq!(began.elapsed(), limit);
    assert!(setting.keys.revoke(&id).await.is_err());
    assert_eq!(began.elapsed(), 2 * limit);
}

#[tokio::test]
async fn a_key_whose_creation_timed_out_is_deleted_again() {
    let setting = setting();
    setting.store.set(Mode::LosesAnswers);
    let error = setting.keys.create("alice").issue().await.unwrap_err();
    assert_eq!(error.kind(), ApiKeyErrorKind::Unavailable);
    super::settle().await;
    assert!(setting.store.inner.is_empty());
    assert!(setting.events().is_empty());
}
