//! Routes that need a token.

use std::time::Duration;

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{Method, StatusCode};

use crate::support::{issuer_in_the_past, started};

#[tokio::test]
async fn routes_need_a_valid_access_token() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let expired = issuer_in_the_past(Duration::from_secs(3600));
    let expired = expired.access("ada").issue().unwrap();
    let (signed, _) = tokens.access.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(43));
    for token in ["garbage", "a.b.c", &expired, &forged, &tokens.refresh] {
        for path in [
            "/me", "/admin", // chapter: admin
        ] {
            service.get(path, token).await.assert_invalid_token();
        }
        for (method, path) in [
            (Method::POST, "/auth/logout"),
            (Method::POST, "/auth/logout-all"),
            (Method::GET, "/auth/sessions"),
            (Method::DELETE, "/auth/sessions/x"),
            (Method::GET, "/auth/second-factor"), // chapter: second-factor
            // chapter: admin {
            (Method::GET, "/admin/users"),
            (Method::POST, "/admin/users/x/disable"),
            (Method::POST, "/admin/users/x/enable"),
            (Method::POST, "/admin/users/x/logout"),
            (Method::POST, "/admin/users/x/password-reset"),
            (Method::PUT, "/admin/users/x/scopes"),
            (Method::DELETE, "/admin/users/x/second-factor"),
            // chapter: admin }
            (Method::POST, "/auth/password/change"),
        ] {
            service
                .send(method, path, token)
                .await
                .assert_invalid_token();
        }
    }
    for path in [
        "/me", "/admin", // chapter: admin
    ] {
        let answer = service.request(Method::GET, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers[WWW_AUTHENTICATE], r#"Bearer realm="api""#);
    }
    assert_eq!(
        service.get("/me", &tokens.access).await.status,
        StatusCode::OK
    );
}

// chapter: admin {
#[tokio::test]
async fn the_admin_route_names_the_scope_it_needs() {
    let service = started!();
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
// chapter: admin }

#[tokio::test]
async fn tokens_of_deleted_users_are_refused() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    sqlx::query("DELETE FROM users")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    service
        .get("/me", &tokens.access)
        .await
        .assert_invalid_token();
}
