//! A PostgreSQL server that is killed or falls silent, and comes back.

use axum::http::{Method, StatusCode};

use crate::support::postgres::Postgres;
use crate::support::{PASSWORD, Service, Tokens};

/// Nothing is refused, and nothing passes.
async fn assert_outage(service: &Service, tokens: &Tokens) {
    let get = |path| service.get(path, &tokens.access);
    let answers = tokio::join!(
        get("/me"),
        get("/admin"),
        get("/auth/sessions"),
        service.register("eve@example.com"),
        service.login("ada@example.com", PASSWORD),
        service.login("ada@example.com", "wrong"),
        service.refresh(&tokens.refresh),
        service.logout(&tokens.access),
        service.send(Method::POST, "/auth/logout-all", &tokens.access),
    );
    for answer in <[_; 9]>::from(answers) {
        answer.assert_unavailable();
    }
    // What needs no database still works.
    service.get("/me", "garbage").await.assert_invalid_token();
    service.refresh("garbage").await.assert_invalid_grant();
    let healthy = service.request(Method::GET, "/healthz", &[], "").await;
    assert_eq!(healthy.status, StatusCode::OK);
}

async fn assert_recovered(service: &Service, tokens: &Tokens) {
    // A pool notices only with the next request that a connection is gone.
    let mut answer = service.refresh(&tokens.refresh).await;
    for _ in 0..20 {
        if answer.status == StatusCode::OK {
            break;
        }
        answer.assert_unavailable();
        answer = service.refresh(&tokens.refresh).await;
    }
    service.assert_good(&answer.tokens()).await;
    service.user("eve@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_after_a_killed_server() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let service = Service::start_in(postgres.new_place().await).await;
    for email in ["ada@example.com", "bob@example.com"] {
        let tokens = service.user(email).await;
        assert_eq!(service.sessions(&tokens.access).await.len(), 1);
    }
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let revoked = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&revoked.access).await;

    postgres.kill();
    // What this process has just revoked stays revoked.
    let answer = service.get("/me", &revoked.access).await;
    answer.assert_invalid_token();
    assert_outage(&service, &tokens).await;
    postgres.launch().await;
    assert_recovered(&service, &tokens).await;
    service.assert_over(&revoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_after_a_silent_server() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let service = Service::start_in(postgres.new_place().await).await;
    let tokens = service.user("ada@example.com").await;

    postgres.signal("STOP");
    let (me, refresh, register) = tokio::join!(
        service.get("/me", &tokens.access),
        service.refresh(&tokens.refresh),
        service.register("bob@example.com"),
    );
    for answer in [me, refresh, register] {
        answer.assert_unavailable();
    }
    postgres.signal("CONT");
    assert_recovered(&service, &tokens).await;
}

#[tokio::test]
async fn the_service_recovers_after_a_locked_row() {
    let service = crate::support::started!();
    let tokens = service.user("ada@example.com").await;
    let mut other = service.database().await;
    for statement in ["BEGIN", "LOCK TABLE jwt_sessions, users"] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    service.refresh(&tokens.refresh).await.assert_unavailable();
    service
        .login("ada@example.com", PASSWORD)
        .await
        .assert_unavailable();
    service
        .register("eve@example.com")
        .await
        .assert_unavailable();
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_recovered(&service, &tokens).await;
}
