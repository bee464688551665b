//! A store that is down or hangs, and refresh tokens that are not valid.

use std::time::Duration;

use tower_jwt_auth::sessions::SessionErrorKind;

use super::store::Mode;
use super::{ROTATED, setting, setting_with, sid};
use crate::support::builder;

#[tokio::test]
async fn a_bad_refresh_token_is_an_invalid_grant_and_touches_no_store() {
    let setting = setting();
    let login = setting.login().await;
    let stranger = builder().0.issuer("other").build().unwrap();
    let cut = &login.refresh_token[..login.refresh_token.len() - 3];
    let bare = setting.tokens.refresh("alice").issue().unwrap();
    let named = setting
        .tokens
        .refresh("alice")
        .session("s")
        .issue()
        .unwrap();
    for bad in [
        "",
        "garbage",
        "' OR 1=1; --",
        cut,
        &login.access_token,
        &stranger.refresh("alice").session("s").issue().unwrap(),
        &bare,  // of no session
        &named, // of a session that was never opened
        &"x".repeat(100_000),
    ] {
        let error = setting.sessions.refresh(bad).await.unwrap_err();
        let kind = error.kind();
        assert!(
            matches!(kind, SessionErrorKind::InvalidToken(_)),
            "{kind:?}"
        );
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (400, "invalid_grant")
        );
    }
    setting.pass(2_592_000 + 30);
    assert!(
        setting
            .sessions
            .refresh(&login.refresh_token)
            .await
            .is_err()
    );
    assert_eq!(setting.store.calls("rotate"), 0);

    let elsewhere = super::setting();
    let unknown = elsewhere.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(unknown, SessionErrorKind::UnknownSession);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_a_503_and_the_same_token_is_good_afterwards() {
    let setting = setting();
    let login = setting.login().await;
    for mode in [Mode::Down, Mode::Hangs] {
        setting.store.set(mode);
        let sessions = &setting.sessions;
        let verified = sessions.refresh(&login.refresh_token).await.unwrap();
        for error in [
            verified.issue().await.err(),
            sessions.open("alice").issue().await.err(),
            sessions.list("alice").await.err(),
            sessions.end(&sid(&login)).await.err(),
            sessions.end_owned_by("alice", &sid(&login)).await.err(),
            sessions.end_by_token(&login.refresh_token).await.err(),
            sessions.end_others("alice", "another").await.err(),
            sessions.end_all("bob").await.err(),
            sessions.clean_up(1).await.err(),
        ] {
            let error = error.expect("the store is down");
            assert_eq!(error.status().as_u16(), 503, "{error:?}");
            assert_eq!(error.code(), "temporarily_unavailable");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        }
    }
    setting.store.set(Mode::Up);
    let (outcome, _) = setting.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(outcome, ROTATED);
}

#[tokio::test(start_paused = true)]
async fn no_call_to_the_store_takes_longer_than_its_timeout() {
    let limit = Duration::from_millis(300);
    let setting = setting_with(|it| it, |it| it.store_timeout(limit));
    let login = setting.login().await;
    setting.store.set(Mode::Hangs);
    let began = tokio::time::Instant::now();
    let error = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(error, SessionErrorKind::Unavailable);
    assert_eq!(began.elapsed(), limit);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_outage_moves_and_ends_no_session_silently() {
    let setting = setting();
    let (login, other) = (setting.login().await, setting.login().await);
    setting.request(&login).await.unwrap();
    for mode in [Mode::Down, Mode::Hangs] {
        setting.revocations.set(mode);
        let error = setting.refresh(&login.refresh_token).await.unwrap_err();
        assert_eq!(error, SessionErrorKind::Unavailable);
    }
    assert_eq!(setting.store.calls("rotate"), 0, "no step was made");
    setting.events();
    let error = setting.sessions.end(&sid(&other)).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 503);
    assert_eq!(setting.events(), ["revocation_failed"]);
    // However long the outage lasts.
    setting.pass(3600);
    setting.revocations.set(Mode::Up);
    assert_eq!(
        setting.refresh(&login.refresh_token).await.unwrap().0,
        ROTATED
    );
}

#[tokio::test]
async fn the_cause_of_an_error_is_in_the_log_and_not_the_response() {
    let setting = setting();
    setting.store.set(Mode::Down);
    let error = setting.sessions.list("alice").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the store is unavailable");
    assert_eq!(cause.source().unwrap().to_string(), "down");
    let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    assert!(!error.body().contains("down"));
}
