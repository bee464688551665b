//! Edge cases: late writes, many sessions, clocks that are behind, lost responses.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::issuer::IssueError;
use tower_jwt_auth::sessions::{
    Converged, EndReason, MAX_CONCURRENT_CALLS, Rotation, RotationOutcome, SessionErrorKind,
    SessionStore as _, WhenFull,
};

use super::store::Mode;
use super::{ROTATED, claims, setting, setting_with, settle, sid};

#[tokio::test]
async fn a_refresh_that_the_store_delays_ends_nothing() {
    let setting = setting();
    let login = setting.login().await;
    let now = |setting: &super::Setting| {
        let now = tower_jwt_auth::clock::Clock::now(&setting.clock);
        u64::try_from(
            now.duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_micros(),
        )
        .unwrap()
    };
    // The service has given up on the call, and the client has come back with the same token.
    let late = Rotation::new(sid(&login), 0, "late", now(&setting));
    setting.pass(3);
    let mut pair = setting.refresh(&login.refresh_token).await.unwrap().1;
    pair = setting.refresh(&pair.refresh_token).await.unwrap().1;
    let after = setting.store.inner.rotate(&late).await.unwrap();
    assert_eq!(late.outcome(after.as_ref()), RotationOutcome::Delayed);
    assert_eq!(
        setting.refresh(&pair.refresh_token).await.unwrap().0,
        ROTATED
    );
}

/// No store that keeps the rules does this, but a store that breaks them must not log a user out.
#[tokio::test]
async fn a_record_that_did_not_move_is_no_lost_generation() {
    let setting = setting();
    let login = setting.login().await;
    let record = setting.store.record(&sid(&login)).await;
    let rotation = Rotation::new(&*record.id, record.generation, "next", record.rotated_at);
    assert_eq!(
        rotation.outcome(Some(&record)),
        RotationOutcome::Converged(Converged::Concurrent)
    );
    let newer = Rotation::new(
        &*record.id,
        record.generation + 1,
        "next",
        record.rotated_at,
    );
    assert_eq!(newer.outcome(Some(&record)), RotationOutcome::StoreRewound);
}

#[tokio::test]
async fn log_out_everywhere_reaches_any_number_of_sessions() {
    let setting = setting();
    let mut pairs = Vec::new();
    for _ in 0..1_300 {
        pairs.push(setting.login().await);
    }
    assert_eq!(setting.sessions.end_all("alice").await.unwrap(), 1_300);
    assert!(setting.store.calls("end") >= 3, "in parts");
    for pair in pairs.iter().step_by(100) {
        assert_eq!(setting.request(pair).await, Err(AuthErrorKind::Revoked));
        assert!(setting.refresh(&pair.refresh_token).await.is_err());
    }
}

#[tokio::test]
async fn log_out_everywhere_has_a_cut_off_even_if_the_store_fails() {
    let setting = setting();
    let login = setting.login().await;
    setting.store.set(Mode::Down);
    assert!(setting.sessions.end_all("alice").await.is_err());
    setting.store.set(Mode::Up);
    assert_eq!(setting.request(&login).await, Err(AuthErrorKind::Revoked));
    let refused = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(refused, SessionErrorKind::Ended(EndReason::Revoked));
}

#[tokio::test]
async fn a_token_that_cannot_be_issued_moves_no_session() {
    let setting = setting();
    let login = setting
        .sessions
        .open("alice")
        .scope("read")
        .issue()
        .await
        .unwrap();
    let verified = || setting.sessions.refresh(&login.refresh_token);
    let long = verified().await.unwrap().claim("long", "x".repeat(9_000));
    let error = long.issue().await.unwrap_err();
    assert_eq!(error.kind(), &SessionErrorKind::Issue(IssueError::TooLong));
    assert_eq!(setting.store.calls("rotate"), 0);

    // Claims that just fit at the login also fit at a refresh.
    let claim = "x".repeat(5_700);
    let open = setting.sessions.open("bob").claim("long", &claim);
    let bob = open.issue().await.unwrap();
    let refresh = setting.sessions.refresh(&bob.refresh_token).await.unwrap();
    let refreshed = refresh.claim("long", &claim).issue().await.unwrap();
    assert!(refreshed.tokens.access_token.len() > 8_000);

    let many = verified().await.unwrap().scopes(["read"; 2_000]);
    let refreshed = many.issue().await.unwrap();
    assert_eq!(claims(&refreshed.tokens.access_token)["scope"], "read");
}

#[tokio::test]
async fn a_session_that_the_store_has_lost_can_still_be_ended() {
    for by_token in [false, true] {
        let setting = setting();
        let login = setting.login().await;
        setting.pass(1);
        let far = u64::MAX;
        assert_eq!(setting.store.inner.clean_up(far, 10).await.unwrap(), 1);
        let ended = if by_token {
            setting.sessions.end_by_token(&login.refresh_token).await
        } else {
            setting.sessions.end(&sid(&login)).await
        };
        assert!(!ended.unwrap(), "it was not open");
        assert_eq!(setting.request(&login).await, Err(AuthErrorKind::Revoked));
    }
}

#[tokio::test]
async fn a_login_that_timed_out_does_not_count_towards_the_limit() {
    let setting = setting_with(|it| it, |it| it.limit(2, WhenFull::Refuse));
    setting.store.set(Mode::LosesAnswers);
    for _ in 0..5 {
        let error = setting.sessions.open("alice").issue().await.unwrap_err();
        assert_eq!(error.status().as_u16(), 503);
    }
    setting.store.set(Mode::Up);
    assert!(setting.sessions.list("alice").await.unwrap().is_empty());
    setting.login().await;
    setting.login().await;
}

#[tokio::test]
async fn a_subject_that_no_database_can_store_is_not_an_outage() {
    let setting = setting();
    let error = setting.sessions.open("a\0b").issue().await.unwrap_err();
    assert_eq!(error.status().as_u16(), 500, "a mistake of the program");
    assert!(setting.sessions.list("a\0b").await.unwrap().is_empty());
    assert_eq!(setting.sessions.end_all("a\0b").await.unwrap(), 0);
    assert_eq!(setting.sessions.end_others("a\0b", "s").await.unwrap(), 0);
    setting.login().await;
    assert_eq!(setting.sessions.end_others("alice", "\0").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_refreshes_at_a_store_that_hangs_are_bounded() {
    let setting = setting();
    let login = setting.login().await;
    setting.store.set(Mode::Hangs);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for _ in 0..3_000 {
        let verified = setting
            .sessions
            .refresh(&login.refresh_token)
            .await
            .unwrap();
        let polled = futures_util::poll!(Box::pin(verified.issue()));
        drop(polled);
    }
    settle().await;
    let left = tasks() - before;
    assert!(left <= MAX_CONCURRENT_CALLS, "{left} tasks");
    let busy = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(busy, SessionErrorKind::Unavailable);
    tokio::time::sleep(Duration::from_secs(10)).await;
    setting.store.set(Mode::Up);
    setting.refresh(&login.refresh_token).await.unwrap();
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn an_answer_from_a_cache_does_not_let_a_refresh_through() {
    use tower_jwt_auth::revocation::{CachedRevocations, MemoryRevocations};
    use tower_jwt_auth::{Sessions, TokenIssuer};
    // Two nodes, each with a cache in front of one revocation store.
    let (store, record) = (super::TestStore::default(), MemoryRevocations::new());
    let node = || {
        let tokens = TokenIssuer::builder(crate::support::key())
            .issuer("me")
            .audience("api")
            .revocation(CachedRevocations::new(record.clone()))
            .build()
            .unwrap();
        Sessions::builder(&tokens, store.clone()).build().unwrap()
    };
    let (here, there) = (node(), node());
    let login = here.open("alice").issue().await.unwrap();
    super::refresh(&here, &login.refresh_token).await.unwrap();
    store.lose_index();
    there.end_all("alice").await.unwrap();
    // The same token again, well within the cache period.
    assert!(super::refresh(&here, &login.refresh_token).await.is_err());
}
