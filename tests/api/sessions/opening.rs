//! The results of a login, a refresh and a list.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::issuer::IssueError;
use tower_jwt_auth::sessions::{MemorySessions, SessionErrorKind, WhenFull};
use tower_jwt_auth::{ConfigError, Sessions};

use super::{CONCURRENT, ROTATED, claims, setting, setting_with, sid};
use crate::support::{NOW, builder};

#[tokio::test]
async fn a_login_opens_a_session_and_each_refresh_moves_it_on() {
    let setting = setting();
    let open = setting.sessions.open("alice").scopes(["read", "write"]);
    let login = open.issue().await.unwrap();
    let (access, refresh) = (claims(&login.access_token), claims(&login.refresh_token));
    assert_eq!(
        (&access["sid"], &access["gen"]),
        (&refresh["sid"], &refresh["gen"])
    );
    assert_eq!(
        (&access["gen"], &access["auth_time"]),
        (&0.into(), &NOW.into())
    );
    assert_eq!(refresh["exp"], NOW + 2_592_000);
    assert_eq!(refresh["scope"], "read write", "what it may be traded for");

    setting.pass(3600);
    let (outcome, next) = setting.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(outcome, ROTATED);
    let (access, refresh) = (claims(&next.access_token), claims(&next.refresh_token));
    assert_eq!(
        (&access["gen"], &access["scope"]),
        (&1.into(), &"read write".into())
    );
    assert_eq!(access["auth_time"], NOW, "that of the login");
    assert_eq!(refresh["exp"], NOW + 2_592_000, "no refresh moves the end");
    assert_eq!(next.refresh_expires_in, 2_592_000 - 3600);
    assert_eq!(setting.request(&next).await, Ok(()));
    assert_eq!(setting.events(), ["session_opened"]);
}

#[tokio::test]
async fn sixty_four_refreshes_at_once_get_one_refresh_token() {
    let setting = Arc::new(setting());
    let login = setting.login().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (setting, token) = (Arc::clone(&setting), login.refresh_token.clone());
        calls.spawn(async move { setting.refresh(&token).await.unwrap() });
    }
    let all = calls.join_all().await;
    let count = |wanted| all.iter().filter(|(outcome, _)| *outcome == wanted).count();
    assert_eq!((count(ROTATED), count(CONCURRENT)), (1, 63));
    let first = &all[0].1.refresh_token;
    assert!(all.iter().all(|(_, pair)| pair.refresh_token == *first));
}

#[tokio::test]
async fn claims_of_a_refresh_override_those_of_the_login() {
    let setting = setting();
    let login = setting.sessions.open("alice").label("laptop");
    let login = login
        .claims(json!({"role": "admin", "amr": ["pwd"], "beta": true}))
        .issue()
        .await
        .unwrap();

    let refresh = setting
        .sessions
        .refresh(&login.refresh_token)
        .await
        .unwrap();
    assert_eq!(refresh.subject(), "alice");
    assert_eq!(refresh.session_id(), sid(&login));
    assert_eq!(setting.store.calls("rotate"), 0, "nothing has happened yet");
    let refreshed = refresh
        .claim("role", "user")
        .claims(json!({"email": "a@b"}))
        .without_claim("beta")
        .issue()
        .await
        .unwrap();
    assert_eq!(refreshed.session.label.as_deref(), Some("laptop"));
    let access = claims(&refreshed.tokens.access_token);
    assert_eq!(access["role"], "user");
    assert_eq!(access["email"], "a@b");
    assert_eq!(access["amr"], json!(["pwd"]), "untouched");
    assert!(access.get("beta").is_none());

    let token = refreshed.tokens.refresh_token;
    let again = setting.refresh(&token).await.unwrap().1;
    let access = claims(&again.access_token);
    assert_eq!(access["role"], "admin", "the session keeps the login's");
}

#[tokio::test]
async fn a_refused_refresh_does_not_move_the_session_on() {
    let setting = setting();
    let open = setting.sessions.open("alice").scopes(["read", "write"]);
    let login = open.issue().await.unwrap();
    let verified = || setting.sessions.refresh(&login.refresh_token);

    let wider = verified().await.unwrap().scopes(["read", "admin"]);
    let wider = wider.issue().await.unwrap_err();
    assert_eq!(wider.kind(), &SessionErrorKind::InvalidScope);
    assert_eq!(
        (wider.status().as_u16(), wider.code()),
        (400, "invalid_scope")
    );
    let reserved = verified().await.unwrap().claim("sub", "bob");
    let reserved = reserved.issue().await.unwrap_err();
    let kind = SessionErrorKind::Issue(IssueError::ReservedClaim("sub".into()));
    assert_eq!(reserved.kind(), &kind);
    assert_eq!(setting.store.calls("rotate"), 0);

    let fewer = verified().await.unwrap().scopes(["read"]);
    let fewer = fewer.issue().await.unwrap();
    assert_eq!(fewer.outcome, ROTATED);
    assert_eq!(claims(&fewer.tokens.access_token)["scope"], "read");
    let next = setting
        .refresh(&fewer.tokens.refresh_token)
        .await
        .unwrap()
        .1;
    let access = claims(&next.access_token);
    assert_eq!(access["scope"], "read write", "the session keeps its own");
}

#[tokio::test]
async fn a_listed_session_is_json_for_its_owner() {
    let setting = setting();
    let open = setting.sessions.open("alice").label("laptop");
    let login = open.issue().await.unwrap();
    setting.pass(5);
    setting.refresh(&login.refresh_token).await.unwrap();
    let listed = setting.sessions.list("alice").await.unwrap();
    let expected = json!([{
        "id": sid(&login),
        "label": "laptop",
        "created_at": NOW,
        "last_used_at": NOW + 5,
        "expires_at": NOW + 2_592_000,
        "is_bound": false,
    }]);
    assert_eq!(serde_json::to_value(&listed).unwrap(), expected);
}

#[tokio::test]
async fn a_label_is_cleaned_for_any_store() {
    let setting = setting();
    let label = format!("a\0b\r\n{}", "\u{1f600}".repeat(500));
    let open = setting.sessions.open("alice").label(label);
    open.issue().await.unwrap();
    let listed = setting.sessions.list("alice").await.unwrap();
    let kept = listed[0].label.as_deref().unwrap();
    assert!(kept.starts_with("ab\u{1f600}"), "{kept}");
    assert_eq!(kept.chars().count(), 200);
}

#[tokio::test]
async fn a_limit_ends_the_oldest_or_refuses_the_newest() {
    let oldest = setting_with(|it| it, |it| it.limit(2, WhenFull::EndOldest));
    let mut pairs = Vec::new();
    for _ in 0..3 {
        oldest.pass(1);
        pairs.push(oldest.login().await);
    }
    assert_eq!(oldest.sessions.list("alice").await.unwrap().len(), 2);
    assert!(oldest.request(&pairs[0]).await.is_err());
    assert_eq!(oldest.request(&pairs[1]).await, Ok(()));

    let refuse = setting_with(|it| it, |it| it.limit(2, WhenFull::Refuse));
    refuse.login().await;
    let second = refuse.login().await;
    let full = refuse.sessions.open("alice").issue().await.unwrap_err();
    assert_eq!(full.kind(), &SessionErrorKind::TooManySessions);
    assert_eq!(
        (full.status().as_u16(), full.code()),
        (403, "access_denied")
    );
    assert!(refuse.sessions.end(&sid(&second)).await.unwrap());
    assert!(refuse.sessions.open("alice").issue().await.is_ok());
}

#[test]
fn impossible_settings_are_refused() {
    let sessions = || {
        let tokens = builder().0.build().unwrap();
        Sessions::builder(&tokens, MemorySessions::new())
    };
    let hour = Duration::from_secs(3600);
    let none = sessions().limit(0, WhenFull::Refuse).build().unwrap_err();
    assert_eq!(none, ConfigError::NoSessionsAllowed);
    let grace = sessions().rotation_grace(Duration::from_secs(61)).build();
    assert_eq!(grace.unwrap_err(), ConfigError::RotationGraceTooLong);
    let second = Duration::from_secs(1);
    for bad in [
        sessions().idle_ttl(Duration::from_millis(999)),
        sessions().lost_response_grace(hour + second),
        sessions().max_lost_responses(0),
        sessions().store_timeout(Duration::ZERO),
    ] {
        assert!(bad.build().is_err());
    }
    let tokens = builder().0.build().unwrap();
    let _first = Sessions::builder(&tokens, MemorySessions::new())
        .build()
        .unwrap();
    let second = Sessions::builder(&tokens, MemorySessions::new()).build();
    let text = second.unwrap_err().to_string();
    assert!(text.contains("clone `Sessions`"), "{text}");
}

#[tokio::test]
async fn lifetimes_with_a_fraction_of_a_second_are_whole_seconds() {
    let fraction = Duration::from_millis(2_500);
    let setting = setting_with(
        |tokens| {
            tokens
                .refresh_ttl(fraction)
                .access_ttl(Duration::from_millis(1_900))
        },
        |sessions| sessions,
    );
    for _ in 0..20 {
        setting.clock.advance(Duration::from_millis(137));
        let login = setting.login().await;
        assert_eq!((login.expires_in, login.refresh_expires_in), (1, 2));
        assert_eq!(setting.request(&login).await, Ok(()));
        setting.refresh(&login.refresh_token).await.unwrap();
    }
    let bare = setting.tokens.refresh("alice").issue().unwrap();
    assert!(
        setting
            .tokens
            .refresh_verifier()
            .verify(&bare)
            .await
            .is_ok()
    );
}
