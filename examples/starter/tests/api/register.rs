//! `POST /auth/register`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Answer, PASSWORD, started};

/// Whatever there was before.
fn assert_answer(answer: &Answer) {
    let mut json = answer.json();
    let registration = json["registration"].take();
    assert_eq!(registration.as_str().unwrap().len(), 22);
    assert_eq!(
        json,
        json!({ "email": "ada@example.com", "registration": null })
    );
}

#[tokio::test]
async fn a_new_account_has_an_id_and_one_spelling_of_its_address() {
    let service = started!();
    let answer = service.register("  Ada@Example.COM ").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_answer(&answer);

    let mut database = service.database().await;
    let (id, hash, scopes): (String, String, String) =
        sqlx::query_as("SELECT id, password_hash, scopes FROM users")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(id.len(), 22);
    assert!(hash.starts_with("$argon2id$"));
    assert_eq!(scopes, "");
}

#[tokio::test]
async fn an_address_is_taken_in_any_spelling_and_only_its_owner_learns_it() {
    let service = started!();
    let first = service.register("ada@example.com").await;
    let letter = service.letter("ada@example.com", 1).await;
    let account = json!({ "email": "ADA@example.com", "password": "not the horse of before" });
    let again = service.post("/auth/register", &account).await;
    assert_eq!(again.status, first.status);
    assert_answer(&again);
    assert_eq!(again.headers.len(), first.headers.len());
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    service.login("ada@example.com", PASSWORD).await.tokens();

    // Not confirmed yet: a link for each registration. Confirmed: word of what has happened.
    let second = service.letter("ada@example.com", 2).await;
    second.token("confirm-email");
    let body = json!({ "token": letter.token("confirm-email") });
    service.post("/auth/email/verify", &body).await;
    assert_answer(&service.register("ada@example.com").await);
    let third = service.letter("ada@example.com", 3).await;
    assert!(third.head.contains("You have an account already"));
    third.token("reset-password");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_registrations_at_once_one_makes_the_account() {
    let service = Arc::new(started!());
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.register("ada@example.com").await.status })
        })
        .collect();
    for racer in racers {
        match racer.await.unwrap() {
            // A slow machine may turn some passwords away.
            StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(service.app.users().count().await.unwrap(), 1);
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
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_answer(&answer);
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn text_that_looks_like_sql_is_only_text() {
    let service = started!();
    let email = "x'),('1','b','','admin',0,0)--@example.com";
    assert_eq!(service.register(email).await.status, StatusCode::ACCEPTED);
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    let answer = service.login("'OR(1=1)--@x", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
