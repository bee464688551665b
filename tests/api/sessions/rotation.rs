//! Which refreshes end a session, and which do not.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::clock::Clock as _;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::sessions::{EndReason, RotationOutcome, SessionErrorKind, SessionStore as _};

use super::{CONCURRENT, DAY, LOST, ROTATED, Setting, claims, setting, setting_with};

const REUSED: SessionErrorKind = SessionErrorKind::ReuseDetected;

#[tokio::test]
async fn a_lost_response_is_repeated_however_late_the_retry() {
    for sleep in [11, 16 * 60, DAY, 14 * DAY] {
        // The lifetime of access tokens makes no difference.
        for ttl in [20, 900] {
            let setting = setting_with(
                |tokens| tokens.access_ttl(Duration::from_secs(ttl)),
                |sessions| sessions,
            );
            let login = setting.login().await;
            assert_eq!(setting.request(&login).await, Ok(()));
            let (_, lost) = setting.refresh(&login.refresh_token).await.unwrap();
            setting.pass(sleep);
            let (outcome, again) = setting.refresh(&login.refresh_token).await.unwrap();
            assert_eq!((outcome, &again.refresh_token), (LOST, &lost.refresh_token));
            assert_eq!(setting.request(&again).await, Ok(()));
            assert_eq!(
                setting.refresh(&again.refresh_token).await.unwrap().0,
                ROTATED
            );
        }
    }
}

#[tokio::test]
async fn after_a_lost_response_two_tabs_may_retry() {
    let setting = setting();
    let login = setting.login().await;
    assert_eq!(setting.request(&login).await, Ok(()));
    setting.refresh(&login.refresh_token).await.unwrap();
    setting.pass(899);
    let (outcome, quick) = setting.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(outcome, LOST);
    assert_eq!(setting.request(&quick).await, Ok(()));
    setting.pass(10);
    let (outcome, slow) = setting.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(outcome, CONCURRENT);
    assert_eq!(quick.refresh_token, slow.refresh_token);

    setting.pass(1);
    let stolen = setting.refresh(&login.refresh_token).await;
    assert_eq!(
        stolen.unwrap_err(),
        REUSED,
        "a grace does not prolong itself"
    );
}

#[tokio::test]
async fn without_acknowledgements_a_retry_works_for_a_minute() {
    let setting = setting();
    let login = setting.login().await;
    setting.refresh(&login.refresh_token).await.unwrap();
    setting.pass(60);
    assert_eq!(setting.refresh(&login.refresh_token).await.unwrap().0, LOST);

    let login = setting.login().await;
    setting.refresh(&login.refresh_token).await.unwrap();
    setting.pass(61);
    let late = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(late, REUSED);

    let longer = Duration::from_secs(3600);
    let setting = setting_with(|it| it, |it| it.lost_response_grace(longer));
    let login = setting.login().await;
    setting.refresh(&login.refresh_token).await.unwrap();
    setting.pass(3600);
    assert_eq!(setting.refresh(&login.refresh_token).await.unwrap().0, LOST);
}

#[tokio::test]
async fn reuse_ends_this_session_with_its_access_tokens_and_no_other() {
    let setting = setting();
    let (victim, other) = (setting.login().await, setting.login().await);
    let (_, second) = setting.refresh(&victim.refresh_token).await.unwrap();
    let (_, third) = setting.refresh(&second.refresh_token).await.unwrap();
    setting.events();

    let reuse = setting.refresh(&victim.refresh_token).await.unwrap_err();
    assert_eq!(reuse, REUSED);
    assert_eq!(setting.events(), ["refresh_reuse_detected"]);
    for pair in [&victim, &second, &third] {
        assert_eq!(setting.request(pair).await, Err(AuthErrorKind::Revoked));
        let ended = setting.refresh(&pair.refresh_token).await.unwrap_err();
        assert!(matches!(ended, SessionErrorKind::Ended(_)), "{ended:?}");
    }
    assert_eq!(setting.request(&other).await, Ok(()));
    assert_eq!(
        setting.refresh(&other.refresh_token).await.unwrap().0,
        ROTATED
    );
}

/// Refreshes once every quarter of an hour as the client, and `behind` seconds later as the thief with the
/// token that the client had before, until one of them is refused.
async fn thief_in_step(
    setting: &Setting,
    behind: u64,
    refreshes: u32,
    uses_the_api: bool,
    marks: Option<(&str, &str)>,
) -> Option<(u32, SessionErrorKind)> {
    let refresh = async |token: &str, mark: Option<&str>| {
        let mut verified = setting.sessions.refresh(token).await.unwrap();
        if let Some(mark) = mark {
            verified = verified.client(mark);
        }
        let refreshed = verified.issue().await;
        refreshed.map_err(|error| error.kind().clone())
    };
    let mut client: TokenPair = setting.login().await;
    for number in 1..=refreshes {
        let stolen = client.refresh_token.clone();
        client = match refresh(&stolen, marks.map(|marks| marks.0)).await {
            Ok(refreshed) => refreshed.tokens,
            Err(kind) => return Some((number, kind)),
        };
        setting.pass(behind);
        if let Err(kind) = refresh(&stolen, marks.map(|marks| marks.1)).await {
            return Some((number, kind));
        }
        if uses_the_api && setting.request(&client).await.is_err() {
            return Some((number, REUSED));
        }
        setting.pass(900 - behind);
    }
    None
}

#[tokio::test]
async fn a_thief_in_step_is_detected_by_the_mark_of_the_client() {
    let setting = setting();
    let marks = Some(("Firefox, device 1", "curl"));
    let found = thief_in_step(&setting, 5, 2_000, true, marks).await;
    assert_eq!(found, Some((1, REUSED)));
}

#[tokio::test]
async fn a_thief_in_step_without_marks_is_reported_at_every_refresh() {
    let setting = setting();
    setting.events();
    assert_eq!(thief_in_step(&setting, 5, 50, true, None).await, None);
    let told = setting.events();
    let converged = told.iter().filter(|event| *event == "refresh_converged");
    assert_eq!(converged.count(), 50);
}

#[tokio::test]
async fn the_run_of_convergences_is_reported_and_then_reset() {
    let (runs, told) = std::sync::mpsc::channel();
    let runs = std::sync::Mutex::new(runs);
    let setting = setting_with(
        |it| it,
        |sessions| {
            sessions.on_event(move |event| {
                if let tower_jwt_auth::sessions::SessionEvent::RefreshConverged {
                    kind, run, ..
                } = event
                {
                    runs.lock().unwrap().send((*kind, *run)).unwrap();
                }
            })
        },
    );
    use tower_jwt_auth::sessions::Converged::{Concurrent, LostResponse};
    let mut pair = setting.login().await;
    for (after, times) in [(1, 1), (1, 3), (30, 1), (0, 0), (2, 1)] {
        let next = setting.refresh(&pair.refresh_token).await.unwrap().1;
        for _ in 0..times {
            setting.pass(after);
            setting.refresh(&pair.refresh_token).await.unwrap();
        }
        pair = next;
    }
    let told: Vec<_> = told.try_iter().collect();
    let expected = [
        (Concurrent, 1),
        (Concurrent, 2),
        (Concurrent, 2),
        (Concurrent, 2),
        (LostResponse, 3),
        (Concurrent, 1),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn without_acknowledgements_a_thief_is_found_after_a_minute() {
    let setting = setting();
    // The access tokens are used only at other services.
    let found = thief_in_step(&setting, 60, 1_344, false, None).await;
    assert_eq!(found, Some((5, REUSED)), "the fifth in a row");
    let setting = super::setting();
    let found = thief_in_step(&setting, 61, 1_344, false, None).await;
    assert_eq!(found, Some((1, REUSED)));
}

#[tokio::test]
async fn a_thief_behind_a_client_that_uses_the_api_is_found_at_once() {
    let setting = setting();
    let login = setting.login().await;
    assert_eq!(setting.request(&login).await, Ok(()));
    let (_, next) = setting.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(setting.request(&next).await, Ok(()));
    setting.pass(11);
    let thief = setting.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(thief, REUSED);
    assert_eq!(setting.request(&next).await, Err(AuthErrorKind::Revoked));
}

#[tokio::test]
async fn a_change_of_the_mark_alone_ends_nothing() {
    let setting = setting();
    let mut token = setting.login().await.refresh_token;
    for mark in ["Firefox 1", "Firefox 2", "", "Firefox 2"] {
        setting.pass(900);
        let verified = setting.sessions.refresh(&token).await.unwrap();
        let refreshed = verified.client(mark).issue().await.unwrap();
        assert_eq!(refreshed.outcome, ROTATED);
        // Two tabs of one browser have the same mark.
        let verified = setting.sessions.refresh(&token).await.unwrap();
        let second = verified.client(mark).issue().await.unwrap();
        assert_eq!(second.outcome, CONCURRENT);
        token = refreshed.tokens.refresh_token;
    }
    let sid = claims(&token)["sid"].as_str().unwrap().to_owned();
    let kept = setting.store.record(&sid).await.client.unwrap();
    assert!(!kept.contains("Firefox"), "a digest: {kept}");
}

#[tokio::test]
async fn idle_and_absolute_timeouts_are_enforced() {
    let setting = setting();
    let idle = setting.login().await;
    setting.pass(1_296_000);
    let error = setting.refresh(&idle.refresh_token).await.unwrap_err();
    assert_eq!(error, SessionErrorKind::Idle);

    let mut current = setting.login().await;
    for _ in 0..3 {
        setting.pass(800_000);
        current = setting.refresh(&current.refresh_token).await.unwrap().1;
    }
    setting.pass(192_000 - 100);
    let last = setting.refresh(&current.refresh_token).await.unwrap().1;
    let left = (last.expires_in, last.refresh_expires_in);
    assert_eq!(left, (100, 100), "no token outlives its session");
    setting.pass(101);
    let error = setting.refresh(&last.refresh_token).await.unwrap_err();
    assert_eq!(error, SessionErrorKind::Expired);
}

#[tokio::test]
async fn a_clock_that_was_set_back_logs_nobody_out() {
    let setting = setting();
    let mut pair = setting.login().await;
    for _ in 0..4 {
        let back = setting.clock.now() - Duration::from_secs(5);
        setting.clock.set(back);
        pair = setting.refresh(&pair.refresh_token).await.unwrap().1;
        assert_eq!(setting.request(&pair).await, Ok(()));
    }
}

#[tokio::test]
async fn one_lost_write_of_the_store_logs_nobody_out() {
    let setting = setting();
    let login = setting.login().await;
    let (_, second) = setting.refresh(&login.refresh_token).await.unwrap();
    let (_, third) = setting.refresh(&second.refresh_token).await.unwrap();
    let restore = async |generation: u64| {
        let mut record = setting.store.record(&super::sid(&login)).await;
        record.generation = generation;
        record.token_id = "restored".into();
        setting.store.inner.create(&record, None).await.unwrap();
    };
    restore(1).await;
    setting.events();
    let (outcome, next) = setting.refresh(&third.refresh_token).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Rotated { rewound: true });
    assert_eq!(setting.events(), ["refresh_store_rewound"]);
    assert_eq!(claims(&next.access_token)["gen"], 3);

    restore(0).await;
    let rejected = setting.refresh(&next.refresh_token).await.unwrap_err();
    assert_eq!(rejected, SessionErrorKind::StoreRewound);
    assert_eq!(setting.events(), ["refresh_store_rewound"]);
    let record = setting.store.record(&super::sid(&login)).await;
    assert_eq!(record.ended_at, None, "the session is not ended for it");
}

#[tokio::test]
async fn the_reason_of_an_ended_session_is_only_in_the_log() {
    let setting = setting();
    let login = setting.login().await;
    setting.sessions.end(&super::sid(&login)).await.unwrap();
    let verified = setting
        .sessions
        .refresh(&login.refresh_token)
        .await
        .unwrap();
    let error = verified.issue().await.unwrap_err();
    let ended = SessionErrorKind::Ended(EndReason::Revoked);
    assert_eq!(error.kind(), &ended);
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "invalid_grant")
    );
    let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
    assert_eq!(body["error"], "invalid_grant");
    assert_eq!(body.as_object().unwrap().len(), 2);
}
