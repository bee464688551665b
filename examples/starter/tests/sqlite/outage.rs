//! Another program that locks the file.

use axum::http::StatusCode;
use sqlx::Connection;

use crate::support::{PASSWORD, started};

#[tokio::test]
async fn a_locked_database_is_an_outage_that_passes() {
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
    // SQLite reads beside a writer.
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
