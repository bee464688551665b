//! Ending sessions: this one, that one, all others, all.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::issuer::{IssueError, TokenPair};
use tower_jwt_auth::sessions::{CLOCK_SLACK, EndReason, SessionErrorKind};

use super::{ROTATED, Setting, setting, setting_with, sid};

#[tokio::test]
async fn sessions_are_listed_and_ended_one_others_all() {
    let setting = setting();
    let mut pairs = Vec::new();
    for label in ["a", "b", "c", "d"] {
        setting.pass(1);
        let open = setting.sessions.open("alice").label(label);
        pairs.push(open.issue().await.unwrap());
    }
    let bob = setting.sessions.open("bob").issue().await.unwrap();
    let labels = async || {
        let sessions = setting.sessions.list("alice").await.unwrap();
        let labels = sessions.into_iter().filter_map(|session| session.label);
        labels.collect::<Vec<_>>().concat()
    };
    assert_eq!(labels().await, "dcba");

    let end_owned_by = async |sub: &str| {
        setting
            .sessions
            .end_owned_by(sub, &sid(&pairs[0]))
            .await
            .unwrap()
    };
    assert!(!end_owned_by("bob").await);
    assert!(end_owned_by("alice").await);
    assert!(!end_owned_by("alice").await, "it was ended already");
    assert_eq!(labels().await, "dcb");
    let revoked = Err(AuthErrorKind::Revoked);
    assert_eq!(setting.request(&pairs[0]).await, revoked);

    let here = sid(&pairs[3]);
    let others = setting.sessions.end_others("alice", &here);
    assert_eq!(others.await.unwrap(), 2);
    assert_eq!(labels().await, "d");
    assert_eq!(setting.request(&pairs[1]).await, revoked);
    assert_eq!(setting.request(&pairs[3]).await, Ok(()));

    assert_eq!(setting.sessions.end_all("alice").await.unwrap(), 1);
    assert_eq!(labels().await, "");
    assert_eq!(setting.request(&pairs[3]).await, revoked);
    let ended = SessionErrorKind::Ended(EndReason::Revoked);
    let refused = setting.refresh(&pairs[3].refresh_token).await;
    assert_eq!(refused.unwrap_err(), ended);
    assert_eq!(setting.request(&bob).await, Ok(()));

    let login = setting.login().await;
    assert_eq!(setting.request(&login).await, Ok(()), "in the same second");
    assert_eq!(
        setting.refresh(&login.refresh_token).await.unwrap().0,
        ROTATED
    );
}

#[tokio::test]
async fn a_client_logs_out_by_its_refresh_token() {
    let setting = setting();
    let (login, other) = (setting.login().await, setting.login().await);
    let (_, next) = setting.refresh(&login.refresh_token).await.unwrap();
    setting.pass(3600); // its access token has expired
    assert!(
        setting
            .sessions
            .end_by_token(&next.refresh_token)
            .await
            .unwrap()
    );
    assert!(setting.refresh(&next.refresh_token).await.is_err());
    assert!(
        !setting
            .sessions
            .end_by_token(&next.refresh_token)
            .await
            .unwrap()
    );
    for unknown in ["", "garbage", other.access_token.as_str()] {
        assert!(!setting.sessions.end_by_token(unknown).await.unwrap());
    }
    assert_eq!(
        setting.refresh(&other.refresh_token).await.unwrap().0,
        ROTATED
    );
}

#[tokio::test]
async fn an_impossible_session_id_does_not_reach_the_store() {
    let setting = setting();
    let login = setting.login().await;
    let cut = &sid(&login)[..31];
    for odd in ["", "\0", "' OR 1=1 --", cut, &"x".repeat(10_000)] {
        assert!(
            !setting.sessions.end_owned_by("alice", odd).await.unwrap(),
            "{odd}"
        );
        assert!(!setting.sessions.end(odd).await.unwrap(), "{odd}");
    }
    assert_eq!(setting.store.calls("end"), 0);
}

/// Two deployments of one service, one after the other, with the same key, stores and clock.
fn redeployed(before: &Setting, access_ttl: u64) -> tower_jwt_auth::TokenIssuer {
    tower_jwt_auth::TokenIssuer::builder(crate::support::key())
        .issuer("me")
        .audience("api")
        .clock(before.clock.clone())
        .revocation(before.revocations.clone())
        .access_ttl(Duration::from_secs(access_ttl))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_revoked_token_stays_revoked_after_lifetimes_were_shortened() {
    let long = |tokens: tower_jwt_auth::issuer::TokenIssuerBuilder| {
        tokens.access_ttl(Duration::from_secs(7200))
    };
    let before = setting_with(long, |it| it);
    let (here, there) = (before.login().await, before.login().await);
    let after = redeployed(&before, 300);
    let sessions = tower_jwt_auth::Sessions::builder(&after, before.store.clone());
    let sessions = sessions.build().unwrap();
    assert_eq!(sessions.end_others("alice", &sid(&here)).await.unwrap(), 1);
    for minute in 0..130 {
        let verdict = after.verifier().verify(&there.access_token).await;
        assert!(verdict.is_err(), "accepted again after {minute} minutes");
        before.pass(60);
    }
}

#[tokio::test]
async fn a_longer_token_is_refused_at_issue_or_its_revocation_lasts() {
    let hours = Duration::from_secs(8 * 3600);
    let setting = setting();
    let long = setting.tokens.access("alice").session("s").ttl(hours);
    assert_eq!(long.issue().unwrap_err(), IssueError::InvalidLifetime);

    let setting = setting_with(|tokens| tokens.max_access_ttl(hours), |it| it);
    let login = setting.login().await;
    let session = sid(&login);
    let long = setting.tokens.access("alice").session(&session).ttl(hours);
    let long = long.issue().unwrap();
    assert!(setting.tokens.verifier().verify(&long).await.is_ok());
    setting.sessions.end(&session).await.unwrap();
    for _ in 0..9 {
        assert!(setting.tokens.verifier().verify(&long).await.is_err());
        setting.pass(3600);
    }
    let short = crate::support::builder()
        .0
        .max_access_ttl(Duration::from_secs(60));
    let text = short.build().unwrap_err().to_string();
    assert!(text.contains("max_access_ttl"), "{text}");
}

#[tokio::test]
async fn a_shorter_lifetime_ends_sessions_that_are_too_old() {
    let before = setting();
    let (old, new) = (
        before.login().await,
        async {
            before.pass(8 * super::DAY);
            before.login().await
        }
        .await,
    );
    let after = tower_jwt_auth::TokenIssuer::builder(crate::support::key())
        .issuer("me")
        .audience("api")
        .clock(before.clock.clone())
        .refresh_ttl(Duration::from_secs(7 * super::DAY))
        .build()
        .unwrap();
    let sessions = tower_jwt_auth::Sessions::builder(&after, before.store.clone());
    let sessions = sessions.build().unwrap();
    let refused = super::refresh(&sessions, &old.refresh_token).await;
    assert_eq!(refused.unwrap_err(), SessionErrorKind::Expired);
    assert_eq!(
        super::refresh(&sessions, &new.refresh_token)
            .await
            .unwrap()
            .0,
        ROTATED
    );
}

#[tokio::test]
async fn a_concurrent_refresh_does_not_outlive_log_out_everywhere() {
    let setting = setting();
    let login = setting.login().await;
    // The response is on its way when the user logs out everywhere.
    let (_, on_the_way) = setting.refresh(&login.refresh_token).await.unwrap();
    setting.sessions.end_all("alice").await.unwrap();
    assert_eq!(
        setting.request(&on_the_way).await,
        Err(AuthErrorKind::Revoked)
    );
    assert!(setting.refresh(&on_the_way.refresh_token).await.is_err());

    // The same at every point at which the logout can interleave with a refresh.
    for turns in 0..40 {
        let setting = super::setting();
        let login = setting.login().await;
        setting.store.set(super::store::Mode::Slow(8));
        let (sessions, token) = (setting.sessions.clone(), login.refresh_token.clone());
        let running = tokio::spawn(async move { super::refresh(&sessions, &token).await });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        setting.sessions.end_all("alice").await.unwrap();
        if let Ok((_, pair)) = running.await.unwrap() {
            let verdict = setting.request(&pair).await;
            assert_eq!(verdict, Err(AuthErrorKind::Revoked), "{turns} turns");
            assert!(setting.refresh(&pair.refresh_token).await.is_err());
        }
    }
}

#[tokio::test]
async fn log_out_everywhere_ends_sessions_missing_from_the_index() {
    let setting = setting();
    let login = setting.login().await;
    setting.store.lose_index();
    setting.sessions.end_all("alice").await.unwrap();
    let access = setting.request(&login).await;
    assert_eq!(access, Err(AuthErrorKind::Revoked));
    for _ in 0..2 {
        let refused = setting.refresh(&login.refresh_token).await.unwrap_err();
        assert_eq!(refused, SessionErrorKind::Ended(EndReason::Revoked));
    }
    assert!(setting.store.record(&sid(&login)).await.ended_at.is_some());
    // Even after the cut-off is gone, the session is not open again.
    setting.pass(14 * super::DAY);
    assert!(setting.refresh(&login.refresh_token).await.is_err());
}

#[tokio::test]
async fn a_concurrent_refresh_issues_nothing_after_the_cut_off() {
    // The index has lost the session, so only the cut-off covers its tokens.
    let mut issued = 0;
    for turns in 0..40 {
        let setting = setting();
        let login = setting.login().await;
        setting.store.lose_index();
        setting.store.set(super::store::Mode::Slow(8));
        let (sessions, token) = (setting.sessions.clone(), login.refresh_token.clone());
        let running = tokio::spawn(async move { super::refresh(&sessions, &token).await });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        setting.store.set(super::store::Mode::Up); // for the logout, which is faster
        setting.sessions.end_all("alice").await.unwrap();
        if let Ok((_, pair)) = running.await.unwrap() {
            issued += 1;
            let verdict = setting.request(&pair).await;
            assert_eq!(verdict, Err(AuthErrorKind::Revoked), "{turns} turns");
            assert!(setting.refresh(&pair.refresh_token).await.is_err());
        }
    }
    assert!(issued > 10, "{issued}");
}

#[tokio::test]
async fn the_session_of_revoked_tokens_is_not_refreshed() {
    let setting = setting();
    let login = setting.login().await;
    setting.tokens.revoke_session(&sid(&login)).await.unwrap();
    assert!(setting.refresh(&login.refresh_token).await.is_err());
}

#[tokio::test]
async fn clean_up_is_bounded_and_spares_what_another_node_may_need() {
    let setting = setting();
    for _ in 0..10 {
        setting.login().await;
    }
    setting.pass(1_296_000 + 900 + CLOCK_SLACK.as_secs() - 1);
    assert_eq!(setting.sessions.clean_up(100).await.unwrap(), 0);
    setting.pass(2);
    let live = setting.login().await;
    for (limit, removed) in [(4, 4), (100, 6), (100, 0)] {
        assert_eq!(setting.sessions.clean_up(limit).await.unwrap(), removed);
    }
    assert_eq!(setting.store.inner.len(), 1);
    assert_eq!(
        setting.refresh(&live.refresh_token).await.unwrap().0,
        ROTATED
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_cleans_up_until_it_is_dropped() {
    let setting = setting();
    for _ in 0..1_200 {
        setting.login().await;
    }
    setting.pass(40 * super::DAY);
    let period = Duration::from_secs(600);
    let task = setting.sessions.clean_up_every(period).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(setting.store.inner.len(), 0, "in batches");
    setting.login().await;
    setting.pass(40 * super::DAY);
    drop(task);
    tokio::time::sleep(period * 3).await;
    assert_eq!(setting.store.inner.len(), 1);
    assert!(setting.sessions.clean_up_every(Duration::ZERO).is_err());
}

#[tokio::test]
async fn events_follow_the_fact_and_a_panicking_hook_is_harmless() {
    let setting = setting_with(|it| it, |it| it.on_event(|_| panic!("a careless hook")));
    let login: TokenPair = setting.login().await;
    let (_, second) = setting.refresh(&login.refresh_token).await.unwrap();
    let (_, third) = setting.refresh(&second.refresh_token).await.unwrap();
    let reuse = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(reuse, SessionErrorKind::ReuseDetected);
    assert_eq!(setting.request(&third).await, Err(AuthErrorKind::Revoked));
    let login = setting.login().await;
    assert_eq!(setting.sessions.end_all("alice").await.unwrap(), 1);
    assert_eq!(setting.request(&login).await, Err(AuthErrorKind::Revoked));
}
