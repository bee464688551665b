//! What people copy from a screen, as they type and paste it.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{PASSWORD, started};

const EMAIL: &str = "ada@example.com";

#[tokio::test]
async fn an_email_address_is_the_same_however_it_is_pasted() {
    let service = started!();
    service.user("ada@zo\u{eb}.example").await;
    for typed in [
        " ada@zo\u{eb}.example\n",
        "\u{a0}ADA@ZO\u{cb}.Example\u{200b}",
        "ada@zoe\u{308}.example",
        "\u{202a}ada\u{ff20}zo\u{eb}.example\u{202c}",
        "mailto:ada@zo\u{eb}.example",
        "<ada@zo\u{eb}.example>",
    ] {
        service.login(typed, PASSWORD).await.tokens();
    }
}

#[tokio::test]
async fn every_route_explains_a_malformed_email_address() {
    let service = started!();
    for (path, body) in [
        (
            "/auth/register",
            json!({ "email": "ada", "password": PASSWORD }),
        ),
        (
            "/auth/login",
            json!({ "email": "ada", "password": PASSWORD }),
        ),
        ("/auth/password/forgot", json!({ "email": "ada@" })),
    ] {
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer.code(), "invalid_email", "{path}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("name@example.com"), "{detail}");
    }
}

#[tokio::test]
async fn a_token_of_a_link_may_be_pasted_with_white_space() {
    let service = started!();
    service.register(EMAIL).await;
    let letter = service.letter(EMAIL, 1).await;
    let token = letter.token("confirm-email");
    let (first, last) = token.split_at(20);
    let body = json!({ "token": format!(" {first}\r\n {last}\u{a0}") });
    let confirmed = service.post("/auth/email/verify", &body).await;
    assert_eq!(
        confirmed.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        confirmed.body
    );

    let tokens = service.login(EMAIL, PASSWORD).await.tokens();
    let tokens = service
        .refresh(&format!(" {}\n", tokens.refresh))
        .await
        .tokens();
    service.logout_by(&format!("{}\n", tokens.refresh)).await;
    service.assert_over(&tokens).await;
}
