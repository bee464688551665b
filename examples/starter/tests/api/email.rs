//! Confirmed and unconfirmed email addresses.

use axum::http::Method; // chapter: page
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Tokens, started};

fn verified(tokens: &Tokens) -> Value {
    tokens.claims()["email_verified"].clone()
}

#[tokio::test]
async fn a_confirmation_link_can_be_used_again() {
    let service = started!();
    let before = service.user("ada@example.com").await;
    assert_eq!(verified(&before), false);
    let letter = service.letter("ada@example.com", 1).await;
    let body = json!({ "token": letter.token("confirm-email") });
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = service.post("/auth/email/verify", &body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        let login = service.login("ada@example.com", PASSWORD).await.tokens();
        assert_eq!(verified(&login), true);
        let next = service.refresh(&login.refresh).await.tokens();
        assert_eq!(verified(&next), true);
        let me = service.get("/me", &next.access).await.json();
        assert_eq!(me["email_verified"], true);
        ids.push(me["sub"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    service.assert_over(&before).await;
}

#[tokio::test]
async fn a_resent_email_is_for_the_same_registration() {
    let service = started!(with | settings | settings.require_verified_email = true);
    let answer = service.register("ada@example.com").await.json();
    let first = service.letter("ada@example.com", 1).await;
    let again = json!({ "registration": answer["registration"] });
    let resend = service.post("/auth/email/resend", &again).await;
    assert_eq!(resend.status, StatusCode::ACCEPTED);
    let second = service.letter("ada@example.com", 2).await;
    assert_ne!(first.text, second.text);
    for letter in [second, first] {
        let body = json!({ "token": letter.token("confirm-email") });
        let answer = service.post("/auth/email/verify", &body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    service.login("ada@example.com", PASSWORD).await.tokens();

    // Nothing is left to confirm, so this sends no email, but the next request does.
    service.post("/auth/email/resend", &again).await;
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let letter = service.letter("ada@example.com", 3).await;
    letter.token("reset-password");
}

#[tokio::test]
async fn only_confirmed_addresses_log_in_where_that_is_required() {
    let service = started!(with | settings | settings.require_verified_email = true);
    service.register("ada@example.com").await;
    let letter = service.letter("ada@example.com", 1).await;
    let early = service.login("ada@example.com", PASSWORD).await;
    let unknown = service.login("nobody@example.com", PASSWORD).await;
    assert_eq!(early.status, StatusCode::UNAUTHORIZED);
    assert_eq!(early.body, unknown.body);

    let body = json!({ "token": letter.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.login("ada@example.com", PASSWORD).await.tokens();
}

/// A reset proves the address as well, because its email was read.
#[tokio::test]
async fn a_password_reset_confirms_the_address() {
    let service = started!(with | settings | settings.require_verified_email = true);
    service.register("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let letter = service.letter("ada@example.com", 2).await;
    let body = json!({ "token": letter.token("reset-password"), "new_password": PASSWORD });
    let answer = service.post("/auth/password/reset", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let again = service.post("/auth/password/reset", &body).await;
    assert_eq!(again.code(), "invalid_link");
    service.login("ada@example.com", PASSWORD).await.tokens();
}

// chapter: page {
/// Mail servers open links before their recipient does.
#[tokio::test]
async fn opening_a_link_changes_nothing() {
    let service = started!(with | settings | settings.require_verified_email = true);
    service.register("ada@example.com").await;
    let confirm = service.letter("ada@example.com", 1).await;
    let confirm = confirm.token("confirm-email");
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let reset = service.letter("ada@example.com", 2).await;
    let reset = reset.token("reset-password");
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        for path in [
            "/".to_owned(),
            format!("/?confirm-email={confirm}"),
            format!("/?reset-password={reset}"),
            format!("/auth/email/verify?token={confirm}"),
            format!("/auth/password/reset?token={reset}&new_password=a+new+password+of+words"),
        ] {
            let answer = service.fetch(method.clone(), &path, &[]).await;
            let page = path.starts_with("/?") || path == "/";
            assert_eq!(
                answer.status == StatusCode::OK,
                page && method != Method::OPTIONS,
                "{method} {path}: {}",
                answer.status
            );
        }
    }
    assert_eq!(service.app.users().count().await.unwrap(), 0);
    let body = json!({ "token": confirm });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.login("ada@example.com", PASSWORD).await.tokens();
}
// chapter: page }
