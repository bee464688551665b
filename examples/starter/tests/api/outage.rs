//! A database that does not answer is 503, and says nothing of tokens and passwords.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use sqlx::Connection;

use crate::support::{Answer, PASSWORD, Service};

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let seconds = answer.headers[RETRY_AFTER].to_str().unwrap();
    assert!(seconds.parse::<u32>().unwrap() >= 1);
    assert_eq!(answer.headers.get(WWW_AUTHENTICATE), None);
}

#[tokio::test]
async fn without_a_database_nothing_is_denied_and_nothing_passes() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    service.app.close().await;

    assert_unavailable(&service.register("eve@example.com").await);
    assert_unavailable(&service.login("ada@example.com", PASSWORD).await);
    assert_unavailable(&service.login("ada@example.com", "wrong").await);
    assert_unavailable(&service.refresh(&tokens.refresh).await);
    assert_unavailable(&service.get("/me", &tokens.access).await);
    assert_unavailable(&service.get("/admin", &tokens.access).await);
    assert_unavailable(&service.logout(&tokens.access).await);

    let method = Method::POST;
    let all = service.send(method, "/auth/logout-all", &tokens.access);
    assert_unavailable(&all.await);
    assert_unavailable(&service.get("/auth/sessions", &tokens.access).await);
    let method = Method::DELETE;
    let one = service.send(method, "/auth/sessions/x", &tokens.access);
    assert_unavailable(&one.await);

    // What needs no database is judged as ever.
    let forged = service.get("/me", "garbage").await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    let answer = service.refresh("garbage").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_locked_database_is_an_outage_that_passes() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let mut other = service.database().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    assert_unavailable(&service.register("eve@example.com").await);
    assert_unavailable(&service.refresh(&tokens.refresh).await);
    assert_unavailable(&service.logout(&tokens.access).await);
    assert_unavailable(&service.login("ada@example.com", PASSWORD).await);
    // SQLite reads beside a writer.
    assert_eq!(service.sessions(&tokens.access).await.len(), 1);
    assert_eq!(
        service.get("/me", &tokens.access).await.status,
        StatusCode::OK
    );

    lock.rollback().await.unwrap();
    let answer = service.register("eve@example.com").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    service.refresh(&tokens.refresh).await.tokens();
}
