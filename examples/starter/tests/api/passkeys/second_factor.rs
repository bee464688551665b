//! Passkeys as a second factor.

use axum::http::StatusCode;
use serde_json::json;

use super::{EMAIL, OTHER, assert_over, assert_refused, by_password, remove};
use crate::support::authenticator::{Authenticator, add, log_in, prove};
use crate::support::factor::App;
use crate::support::{Answer, PASSWORD, Service, started};

async fn answer_challenge(
    service: &Service,
    challenge: &str,
    passkey: &mut Authenticator,
) -> Answer {
    let body = json!({ "challenge": challenge });
    let asked = service.post("/auth/login/passkey", &body).await;
    assert_eq!(asked.status, StatusCode::OK, "{:?}", asked.body);
    let asked = asked.json();
    let answer = json!({
        "challenge": challenge,
        "ceremony": asked["ceremony"],
        "credential": passkey.get(&asked["options"]),
    });
    service.post("/auth/login/passkey/finish", &answer).await
}

#[tokio::test]
async fn a_passkey_is_a_second_step_after_the_password() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let path = "/auth/second-factor/passkey";
    let answer = service.post_as(&tokens, path, &by_password()).await;
    assert_eq!(answer.code(), "no_passkey");
    let mut passkey = Authenticator::new();
    let listed = add(&service, &tokens, &mut passkey).await;
    // Nothing is asked for yet, and the passkey alone is enough.
    let elsewhere = service.login(EMAIL, PASSWORD).await.tokens();
    let answer = service.post_as(&tokens, path, &json!({})).await;
    assert_eq!(answer.code(), "proof_required");
    let on = service.post_as(&tokens, path, &by_password()).await;
    assert_eq!(on.status, StatusCode::OK, "{:?}", on.body);
    assert_eq!(on.json()["recovery_codes"].as_array().unwrap().len(), 10);
    service.assert_over(&elsewhere).await;
    let again = service.post_as(&tokens, path, &by_password()).await;
    assert_eq!(again.code(), "second_factor_exists");

    let first = service.login(EMAIL, PASSWORD).await;
    assert_eq!(first.json()["methods"], json!(["passkey", "recovery_code"]));
    let challenge = first.challenge();
    let body = json!({ "challenge": challenge });
    let asked = service.post("/auth/login/passkey", &body).await.json();
    let allowed = asked["options"]["allowCredentials"].as_array().unwrap();
    assert_eq!(allowed.len(), 1);
    let tokens = answer_challenge(&service, &challenge, &mut passkey)
        .await
        .tokens();
    assert_eq!(tokens.claims()["amr"], json!(["pwd", "hwk", "user", "mfa"]));
    // The challenge is used up, and so is its request.
    let body = json!({
        "challenge": challenge, "ceremony": asked["ceremony"],
        "credential": passkey.get(&asked["options"]),
    });
    let answer = service.post("/auth/login/passkey/finish", &body).await;
    assert_eq!(answer.code(), "invalid_challenge");
    log_in(&service, &mut passkey).await.tokens();

    // The passkey cannot be removed while logins ask for it.
    let answer = remove(&service, &tokens, &listed, &by_password()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.code(), "last_second_factor");
    // The passkey turns itself off, with a proof in place of a code.
    let proof = prove(&service, &tokens, &mut passkey).await.json();
    let off = json!({
        "current_password": PASSWORD, "method": "passkey", "code": proof["passkey_proof"],
    });
    let path = "/auth/second-factor/remove";
    let answer = service.post_as(&tokens, path, &off).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    service.login(EMAIL, PASSWORD).await.tokens();
    let answer = remove(&service, &tokens, &listed, &by_password()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_passkey_takes_the_place_of_a_code() {
    let service = started!();
    App::of(&service, EMAIL).await;
    let tokens = {
        let mut database = service.database().await;
        let query = "UPDATE second_factors SET confirmed = FALSE";
        sqlx::query(query).execute(&mut database).await.unwrap();
        let tokens = service.login(EMAIL, PASSWORD).await.tokens();
        let query = "UPDATE second_factors SET confirmed = TRUE";
        sqlx::query(query).execute(&mut database).await.unwrap();
        tokens
    };
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    let other = service.user(OTHER).await;
    let mut of_other = Authenticator::new();
    add(&service, &other, &mut of_other).await;

    let first = service.login(EMAIL, PASSWORD).await;
    let methods = json!(["totp", "passkey", "recovery_code"]);
    assert_eq!(first.json()["methods"], methods);
    let challenge = first.challenge();
    let answer = answer_challenge(&service, &challenge, &mut of_other).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_user");
    let mut stolen = passkey.with_another_key();
    let answer = answer_challenge(&service, &challenge, &mut stolen).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_signature");
    // The request of one login does not work for another one.
    let second = service.login(EMAIL, PASSWORD).await.challenge();
    let body = json!({ "challenge": second });
    let asked = service.post("/auth/login/passkey", &body).await.json();
    let credential = passkey.get(&asked["options"]);
    let body = json!({
        "challenge": challenge, "ceremony": asked["ceremony"], "credential": credential,
    });
    assert_over(&service.post("/auth/login/passkey/finish", &body).await);
    let body = json!({ "ceremony": asked["ceremony"], "credential": credential });
    assert_over(&service.post("/auth/login/passkey/finish", &body).await);
    answer_challenge(&service, &challenge, &mut passkey)
        .await
        .tokens();
}

/// OWASP ASVS 5.0 V6.6.3.
#[tokio::test]
async fn a_challenge_allows_five_wrong_passkeys() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    let path = "/auth/second-factor/passkey";
    service.post_as(&tokens, path, &by_password()).await;
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    for _ in 0..5 {
        let mut wrong = passkey.with_another_key();
        let answer = answer_challenge(&service, &challenge, &mut wrong).await;
        assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_signature");
    }
    let body = json!({ "challenge": challenge });
    let answer = service.post("/auth/login/passkey", &body).await;
    assert_eq!(answer.code(), "invalid_challenge");
}
