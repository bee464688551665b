//! Addresses that are confirmed, or not yet.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Tokens, started};

fn verified(tokens: &Tokens) -> Value {
    tokens.claims()["email_verified"].clone()
}

#[tokio::test]
async fn a_link_confirms_the_address_once_and_tokens_tell() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    assert_eq!(verified(&tokens), false);
    let letter = service.letter("ada@example.com", 1).await;
    let body = json!({ "token": letter.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let again = service.post("/auth/email/verify", &body).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.code(), "invalid_link");

    let me = service.get("/me", &tokens.access).await.json();
    assert_eq!(me["email_verified"], true);
    let next = service.refresh(&tokens.refresh).await.tokens();
    assert_eq!(verified(&next), true);
    let login = service.login("ada@example.com", PASSWORD).await.tokens();
    assert_eq!(verified(&login), true);

    // There is nothing left to confirm: a resend writes no letter, and a reset the next.
    for path in ["/auth/email/resend", "/auth/password/forgot"] {
        let body = json!({ "email": "ada@example.com" });
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let letter = service.letter("ada@example.com", 2).await;
    letter.token("reset-password");
}

#[tokio::test]
async fn a_link_is_dead_when_the_address_has_changed() {
    let service = started!();
    service.register("ada@example.com").await;
    let letter = service.letter("ada@example.com", 1).await;
    sqlx::query("UPDATE users SET email = 'eve@example.com'")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let body = json!({ "token": letter.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.code(), "invalid_link");
}

#[tokio::test]
async fn where_it_is_required_only_a_confirmed_address_logs_in_and_nobody_else_can_tell() {
    let service = started!(with | settings | settings.require_verified_email = true);
    service.register("ada@example.com").await;
    let letter = service.letter("ada@example.com", 1).await;
    let early = service.login("ada@example.com", PASSWORD).await;
    let unknown = service.login("nobody@example.com", PASSWORD).await;
    assert_eq!(early.status, StatusCode::UNAUTHORIZED);
    assert_eq!(early.body, unknown.body);

    let body = json!({ "email": "ada@example.com" });
    let answer = service.post("/auth/email/resend", &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let second = service.letter("ada@example.com", 2).await;
    assert_ne!(letter.text, second.text);
    let body = json!({ "token": second.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.login("ada@example.com", PASSWORD).await.tokens();
}

/// A reset proves the same: the letter was read.
#[tokio::test]
async fn a_reset_confirms_the_address() {
    let service = started!(with | settings | settings.require_verified_email = true);
    service.register("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let letter = service.letter("ada@example.com", 2).await;
    let body = json!({ "token": letter.token("reset-password"), "new_password": PASSWORD });
    let answer = service.post("/auth/password/reset", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.login("ada@example.com", PASSWORD).await.tokens();
}
