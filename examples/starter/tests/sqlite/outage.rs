//! Another program that locks the file.

use axum::http::StatusCode;
use sqlx::Connection;

use crate::support::social_login::{StandIn, Visitor}; // chapter: social-login
use crate::support::{PASSWORD, started};

#[tokio::test]
async fn the_service_recovers_after_a_locked_database() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let mut other = service.database().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    service
        .register("eve@example.com")
        .await
        .assert_unavailable();
    service.refresh(&tokens.refresh).await.assert_unavailable();
    service.logout(&tokens.access).await.assert_unavailable();
    service
        .login("ada@example.com", PASSWORD)
        .await
        .assert_unavailable();
    // In SQLite, readers can work beside a writer.
    assert_eq!(service.sessions(&tokens.access).await.len(), 1);
    assert_eq!(
        service.get("/me", &tokens.access).await.status,
        StatusCode::OK
    );

    lock.rollback().await.unwrap();
    let answer = service.register("eve@example.com").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    service.refresh(&tokens.refresh).await.tokens();
}

// chapter: social-login {
/// An attempt that got no response uses nothing up.
#[tokio::test]
async fn a_provider_login_survives_a_locked_database() {
    let provider = StandIn::start().await;
    let service =
        started!(with | settings | settings.login_providers = vec![provider.settings("one")]);
    let mut other = service.database().await;
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let returned = provider.approves(&asked);

    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let begun = visitor.goes("/auth/login/one", false).await;
    begun.assert_unavailable();
    visitor.returns("one", &returned).await.assert_unavailable();
    let page = visitor.returns_to_page("one", &returned).await;
    assert_eq!(page, "/#login-failed=unavailable.one");
    lock.rollback().await.unwrap();
    let page = visitor.returns_to_page("one", &returned).await;
    assert_eq!(page, "/#logged-in=one");

    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    visitor.finishes("one").await.assert_unavailable();
    lock.rollback().await.unwrap();
    let session = visitor.finishes("one").await;
    visitor.tokens(&session);
}
// chapter: social-login }
