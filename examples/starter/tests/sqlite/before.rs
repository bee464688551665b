//! A database of an earlier version of the service.

use crate::support::{Service, started};

#[tokio::test]
async fn a_database_from_before_keeps_its_logouts() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let id = service.sessions(&tokens.access).await[0]["id"].clone();
    let mut database = service.database().await;
    for statement in [
        "DELETE FROM _sqlx_migrations WHERE version = 4",
        include_str!("../../migrations/sqlite/0002_revocations.sql"),
        include_str!("../../migrations/sqlite/0003_used_refresh_tokens.sql"),
        "INSERT INTO revocations VALUES ('token', 'i', 'ended long ago', 0, 1000)",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut database)
            .await
            .unwrap();
    }
    sqlx::query(
        "INSERT INTO revocations VALUES \
             ('session', 'https://auth.test', ?, 0, unixepoch() + 900)",
    )
    .bind(id.as_str())
    .execute(&mut database)
    .await
    .unwrap();
    drop(database);

    let service = Service::start_in(service.stop().await).await;
    service
        .get("/me", &tokens.access)
        .await
        .assert_invalid_token();
    let left = "SELECT group_concat(name) FROM sqlite_schema \
         WHERE name IN ('revocations', 'used_refresh_tokens')";
    let left: Option<String> = sqlx::query_scalar(left)
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(left, None);
}
