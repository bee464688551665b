//! Routes that need a token, and `POST /auth/logout`.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service, issuer_in_the_past};

fn assert_invalid_token(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.code(), "invalid_token");
    let challenge = &answer.headers[WWW_AUTHENTICATE];
    assert_eq!(challenge, r#"Bearer error="invalid_token""#);
}

#[tokio::test]
async fn a_route_needs_a_good_access_token() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let expired = issuer_in_the_past(Duration::from_secs(3600));
    let expired = expired.access("ada").issue().unwrap();
    let (signed, _) = tokens.access.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(43));
    for token in ["garbage", "a.b.c", &expired, &forged, &tokens.refresh] {
        for path in ["/me", "/admin"] {
            assert_invalid_token(&service.get(path, token).await);
        }
        assert_invalid_token(&service.logout(token, None).await);
    }
    for path in ["/me", "/admin"] {
        let answer = service.request(Method::GET, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
    }
    assert_eq!(
        service.get("/me", &tokens.access).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_admin_route_names_the_scope_it_needs() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.code(), "insufficient_scope");
    let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(
        challenge.contains(r#"error="insufficient_scope""#),
        "{challenge}"
    );
    assert!(challenge.contains(r#"scope="admin""#), "{challenge}");
}

#[tokio::test]
async fn a_user_who_is_gone_is_nobody() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    sqlx::query("DELETE FROM users")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_invalid_token(&service.get("/me", &tokens.access).await);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_no_other() {
    let service = Service::start().await;
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();

    let answer = service.logout(&first.access, None).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.body.is_empty());
    assert_invalid_token(&service.get("/me", &first.access).await);
    assert_invalid_token(&service.logout(&first.access, None).await);
    let answer = service.refresh(&first.refresh).await;
    assert_eq!(answer.json()["error"], "invalid_grant");

    assert_eq!(
        service.get("/me", &second.access).await.status,
        StatusCode::OK
    );
    service.refresh(&second.refresh).await.tokens();
}

#[tokio::test]
async fn a_logout_reaches_the_tokens_that_followed_from_a_refresh() {
    let service = Service::start().await;
    let first = service.user("ada@example.com").await;
    let second = service.refresh(&first.refresh).await.tokens();
    service.logout(&first.access, None).await;
    assert_invalid_token(&service.get("/me", &second.access).await);
    let answer = service.refresh(&second.refresh).await;
    assert_eq!(answer.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_logout_also_revokes_the_refresh_token_that_it_is_given() {
    let service = Service::start().await;
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();
    let stranger = service.user("eve@example.com").await;

    let body = json!({ "refresh_token": second.refresh });
    let answer = service.logout(&first.access, Some(body)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let answer = service.refresh(&second.refresh).await;
    assert_eq!(answer.json()["error"], "invalid_grant");

    // One that is no good is no matter; one of somebody else is left alone.
    for token in ["garbage", &stranger.refresh] {
        let user = service.login("ada@example.com", PASSWORD).await.tokens();
        let body = json!({ "refresh_token": token });
        let answer = service.logout(&user.access, Some(body)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    service.refresh(&stranger.refresh).await.tokens();
}

#[tokio::test]
async fn a_logout_with_a_body_that_cannot_be_read_changes_nothing() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let bearer = format!("Bearer {}", tokens.access);
    let headers = [
        ("authorization", bearer.as_str()),
        (CONTENT_TYPE.as_str(), "application/json"),
    ];
    let answer = service
        .request(Method::POST, "/auth/logout", &headers, "{")
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        service.get("/me", &tokens.access).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_restart_keeps_users_tokens_and_logouts() {
    let service = Service::start().await;
    let out = service.user("ada@example.com").await;
    let kept = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&out.access, None).await;

    let service = Service::start_in(service.stop().await).await;
    assert_invalid_token(&service.get("/me", &out.access).await);
    let answer = service.refresh(&out.refresh).await;
    assert_eq!(answer.json()["error"], "invalid_grant");
    assert_eq!(
        service.get("/me", &kept.access).await.status,
        StatusCode::OK
    );
    service.login("ada@example.com", PASSWORD).await.tokens();
}

#[tokio::test]
async fn rows_that_have_expired_are_removed_and_others_kept() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let mut database = service.database().await;
    for statement in [
        "INSERT INTO revocations VALUES ('token', 'i', 'old', 0, 1000)",
        "INSERT INTO revocations VALUES ('token', 'i', 'new', 0, unixepoch() + 60)",
        "INSERT INTO used_refresh_tokens VALUES ('old', 1000)",
        "INSERT INTO used_refresh_tokens VALUES ('new', unixepoch() + 60)",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    service.refresh(&tokens.refresh).await.tokens();
    service.logout(&tokens.access, None).await;
    for (query, expected) in [
        ("SELECT count(*) FROM revocations", 2),
        ("SELECT count(*) FROM revocations WHERE id = 'old'", 0),
        ("SELECT count(*) FROM used_refresh_tokens", 2),
        (
            "SELECT count(*) FROM used_refresh_tokens WHERE jti = 'old'",
            0,
        ),
    ] {
        let count: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(count, expected, "{query}");
    }
}
