//! `POST /auth/register`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{PASSWORD, started};

#[tokio::test]
async fn a_new_account_has_an_id_and_one_spelling_of_its_address() {
    let service = started!();
    let answer = service.register("  Ada@Example.COM ").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let account = answer.json();
    assert_eq!(account.as_object().unwrap().len(), 2, "{account}");
    assert_eq!(account["email"], "ada@example.com");
    assert_eq!(account["id"].as_str().unwrap().len(), 22);

    let mut database = service.database().await;
    let (hash, scopes): (String, String) =
        sqlx::query_as("SELECT password_hash, scopes FROM users")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert!(hash.starts_with("$argon2id$"));
    assert_eq!(scopes, "");
}

#[tokio::test]
async fn an_address_is_taken_in_any_spelling() {
    let service = started!();
    service.register("ada@example.com").await;
    let answer = service.register("ADA@example.com").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.code(), "email_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_registrations_at_once_one_succeeds() {
    let service = Arc::new(started!());
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.register("ada@example.com").await.status })
        })
        .collect();
    let mut created = 0;
    for racer in racers {
        match racer.await.unwrap() {
            StatusCode::CREATED => created += 1,
            // A slow machine may turn some passwords away.
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(created, 1);
    assert_eq!(service.app.users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_password_that_is_too_short_or_too_long_is_refused() {
    let service = started!();
    let (short, long) = ("é".repeat(14), "x".repeat(1025));
    for password in ["", &short, &long] {
        let account = json!({ "email": "ada@example.com", "password": password });
        let answer = service.post("/auth/register", &account).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.code(), "invalid_password");
    }
    for (email, password) in [("a@b.c", "é".repeat(15)), ("d@e.f", "x".repeat(1024))] {
        let account = json!({ "email": email, "password": password });
        let answer = service.post("/auth/register", &account).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        service.login(email, &password).await.tokens();
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let service = started!();
    let long = format!("{}@example.com", "a".repeat(254));
    for email in ["", "ada", "ada@", "@example.com", "a b@example.com", &long] {
        let answer = service.register(email).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{email}");
        assert_eq!(answer.code(), "invalid_email");
    }
}

#[tokio::test]
async fn nobody_becomes_admin_by_registering() {
    let service = started!();
    let account = json!({
        "email": "ada@example.com", "password": PASSWORD,
        "scopes": "admin", "scope": "admin", "id": "chosen", "disabled": false,
    });
    let answer = service.post("/auth/register", &account).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_ne!(answer.json()["id"], "chosen");
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn text_that_looks_like_sql_is_only_text() {
    let service = started!();
    let email = "x'),('1','b','','admin',0,0)--@example.com";
    assert_eq!(service.register(email).await.status, StatusCode::CREATED);
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    let answer = service.login("'OR(1=1)--@x", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
