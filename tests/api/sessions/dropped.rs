//! A request that is dropped at any point does not leave a session half ended.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::{AuthErrorKind, Sessions};

use super::store::Mode;
use super::{Setting, setting, settle, sid};

/// Polls a call at most `polls` times and then drops it. Returns whether it was complete by then.
async fn dropped_after<T>(polls: u32, call: impl Future<Output = T>) -> bool {
    let mut call = pin!(call);
    for _ in 0..polls {
        let done =
            std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
        if done.await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

fn slow() -> Setting {
    let setting = setting();
    setting.store.set(Mode::Slow(3));
    setting.revocations.set(Mode::Slow(3));
    setting
}

async fn quick_again(setting: &Setting) {
    for _ in 0..20 {
        settle().await;
    }
    setting.store.set(Mode::Up);
    setting.revocations.set(Mode::Up);
}

async fn is_over(setting: &Setting, pair: &TokenPair) {
    let access = setting.request(pair).await;
    assert_eq!(access, Err(AuthErrorKind::Revoked));
    let refresh = setting.refresh(&pair.refresh_token).await;
    assert!(refresh.is_err(), "{refresh:?}");
}

/// Drops an end at every point.
async fn dropped_at_each_moment(end: impl AsyncFn(&Sessions, &TokenPair)) {
    for polls in 1.. {
        let setting = slow();
        let login = setting.login().await;
        let done = dropped_after(polls, end(&setting.sessions, &login)).await;
        quick_again(&setting).await;
        is_over(&setting, &login).await;
        if done {
            assert!(polls > 5, "the store was too quick to be interrupted");
            return;
        }
    }
}

#[tokio::test]
async fn a_dropped_logout_still_takes_effect() {
    dropped_at_each_moment(async |sessions, login| {
        sessions.end(&sid(login)).await.unwrap();
    })
    .await;
    dropped_at_each_moment(async |sessions, login| {
        sessions.end_owned_by("alice", &sid(login)).await.unwrap();
    })
    .await;
    dropped_at_each_moment(async |sessions, _| {
        sessions.end_others("alice", "another").await.unwrap();
    })
    .await;
    dropped_at_each_moment(async |sessions, login| {
        sessions.end_by_token(&login.refresh_token).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_dropped_log_out_everywhere_still_has_its_cut_off() {
    dropped_at_each_moment(async |sessions, _| {
        sessions.end_all("alice").await.unwrap();
    })
    .await;
    // Tokens that belong to no session are covered by the cut-off as well.
    for polls in 1..40 {
        let setting = slow();
        let bare = setting.tokens.access("alice").issue().unwrap();
        dropped_after(polls, setting.sessions.end_all("alice")).await;
        quick_again(&setting).await;
        let verdict = setting.tokens.verifier().verify(&bare).await;
        assert_eq!(verdict.unwrap_err().kind(), AuthErrorKind::Revoked);
    }
}

#[tokio::test]
async fn a_dropped_reuse_still_ends_the_session_and_its_tokens() {
    for polls in 1..60 {
        let setting = slow();
        let login = setting.login().await;
        let (_, second) = setting.refresh(&login.refresh_token).await.unwrap();
        let (_, third) = setting.refresh(&second.refresh_token).await.unwrap();
        dropped_after(polls, setting.refresh(&login.refresh_token)).await;
        quick_again(&setting).await;
        is_over(&setting, &third).await;
    }
}

#[tokio::test]
async fn a_refresh_that_is_dropped_leaves_the_session_in_order() {
    for polls in 1..60 {
        let setting = slow();
        let login = setting.login().await;
        dropped_after(polls, setting.refresh(&login.refresh_token)).await;
        quick_again(&setting).await;
        let (_, next) = setting.refresh(&login.refresh_token).await.unwrap();
        assert_eq!(setting.request(&next).await, Ok(()));
    }
}

#[tokio::test]
async fn repeating_an_end_completes_one_that_was_killed() {
    // The row was ended, and the process crashed before the access tokens were revoked.
    let killed = async || {
        let setting = setting();
        let login = setting.login().await;
        setting.revocations.set(Mode::Down);
        assert!(setting.sessions.end(&sid(&login)).await.is_err());
        setting.revocations.set(Mode::Up);
        assert_eq!(setting.request(&login).await, Ok(()), "half done");
        (setting, login)
    };
    let (setting, login) = killed().await;
    assert!(!setting.sessions.end(&sid(&login)).await.unwrap());
    is_over(&setting, &login).await;

    let (setting, login) = killed().await;
    setting
        .sessions
        .end_others("alice", "another")
        .await
        .unwrap();
    is_over(&setting, &login).await;

    let (setting, login) = killed().await;
    assert!(setting.refresh(&login.refresh_token).await.is_err());
    is_over(&setting, &login).await;
}
