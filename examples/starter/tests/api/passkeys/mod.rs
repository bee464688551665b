//! Passkeys: adding, using, renaming and removing them, and what is refused.

mod account;
mod refused;
mod second_factor; // chapter: second-factor

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::authenticator::{
    Authenticator, add, answer_log_in, answer_register, ask_to_log_in, ask_to_register, log_in,
};
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";
const OTHER: &str = "eve@example.com";
const LIST: &str = "/auth/passkeys";

async fn list(service: &Service, tokens: &Tokens) -> Vec<Value> {
    let answer = service.get(LIST, &tokens.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()["passkeys"].as_array().unwrap().clone()
}

async fn remove(service: &Service, tokens: &Tokens, passkey: &Value, proof: &Value) -> Answer {
    let path = format!("{LIST}/{}/remove", passkey["id"].as_str().unwrap());
    service.post_as(tokens, &path, proof).await
}

async fn change(service: &Service, change: &'static str) {
    let mut database = service.database().await;
    sqlx::query(change).execute(&mut database).await.unwrap();
}

async fn count(service: &Service, query: &'static str) -> i64 {
    let mut database = service.database().await;
    let query = sqlx::query_scalar(query);
    query.fetch_one(&mut database).await.unwrap()
}

fn by_password() -> Value {
    json!({ "current_password": PASSWORD })
}

#[track_caller]
fn assert_refused(answer: &Answer, status: StatusCode, reason: &str) {
    assert_eq!(answer.status, status, "{reason}: {:?}", answer.body);
    assert_eq!(answer.code(), "invalid_passkey", "{reason}");
    assert_eq!(answer.json()["reason"], reason);
}

#[track_caller]
fn assert_over(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{:?}", answer.body);
    assert_eq!(answer.code(), "invalid_ceremony");
}
#[tokio::test]
async fn a_passkey_logs_in_without_a_password() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    assert_eq!(list(&service, &tokens).await, Vec::<Value>::new());
    let asked = ask_to_register(&service, &tokens).await;
    let options = &asked["options"];
    assert_eq!(asked["expires_in"], 300);
    assert_eq!(options["rp"]["id"], "app.test");
    assert_eq!(options["user"]["name"], EMAIL);
    let selection = &options["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required");
    assert_eq!(selection["userVerification"], "required");
    let mut passkey = Authenticator::new();
    let added = answer_register(&service, &tokens, &asked, &mut passkey).await;
    assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    let email = service.letter(EMAIL, 2).await;
    assert!(email.head.contains("A passkey was added"), "{}", email.head);
    let [listed] = &list(&service, &tokens).await[..] else {
        panic!("one passkey")
    };
    assert_eq!(listed, &added.json());
    assert_eq!(listed["label"], "My laptop");
    assert_eq!(listed["last_used_at"], Value::Null);
    assert_eq!(listed["is_synced"], false);

    let question = ask_to_log_in(&service).await;
    assert_eq!(question["options"]["userVerification"], "required");
    assert_eq!(question["options"]["allowCredentials"], json!([]));
    let answer = passkey.get(&question["options"]);
    let logged_in = answer_log_in(&service, &question, answer).await.tokens();
    let claims = logged_in.claims();
    assert_eq!(claims["email"], EMAIL);
    assert_eq!(claims["sub"], tokens.claims()["sub"]);
    assert_eq!(claims["amr"], json!(["hwk", "user", "mfa"]));
    service.assert_good(&logged_in).await;
    let listed = list(&service, &tokens).await;
    assert!(listed[0]["last_used_at"].is_i64(), "{listed:?}");
    log_in(&service, &mut passkey).await.tokens();
}

/// The counter of a synced passkey stays at zero, which means nothing (WebAuthn Level 3 section 6.1.1).
#[tokio::test]
async fn synced_passkeys_are_distinguished_from_device_bound_ones() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::synced();
    assert_eq!(
        add(&service, &tokens, &mut passkey).await["is_synced"],
        true
    );
    for _ in 0..3 {
        let claims = log_in(&service, &mut passkey).await.tokens().claims();
        assert_eq!(claims["amr"], json!(["swk", "user", "mfa"]));
    }
    // It cannot turn into one that is not backed up, because that would be another key.
    passkey.is_synced = false;
    let answer = log_in(&service, &mut passkey).await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "backup_changed");
}

#[tokio::test]
async fn a_passkey_request_works_once_in_time_for_its_purpose() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    // Works once.
    let asked = ask_to_register(&service, &tokens).await;
    let added = answer_register(&service, &tokens, &asked, &mut passkey).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let mut other = Authenticator::new();
    assert_over(&answer_register(&service, &tokens, &asked, &mut other).await);
    let asked = ask_to_log_in(&service).await;
    let credential = passkey.get(&asked["options"]);
    let answer = answer_log_in(&service, &asked, credential.clone()).await;
    answer.tokens();
    assert_over(&answer_log_in(&service, &asked, credential).await);
    // Even a wrong answer uses up the request.
    let asked = ask_to_log_in(&service).await;
    let wrong = passkey.with_another_key().get(&asked["options"]);
    answer_log_in(&service, &asked, wrong).await;
    let right = passkey.get(&asked["options"]);
    assert_over(&answer_log_in(&service, &asked, right).await);

    // Works in time only.
    let asked = ask_to_log_in(&service).await;
    let registering = ask_to_register(&service, &tokens).await;
    change(
        &service,
        "UPDATE passkey_ceremonies SET expires_at = expires_at - 301",
    )
    .await;
    let right = passkey.get(&asked["options"]);
    assert_over(&answer_log_in(&service, &asked, right).await);
    let mut other = Authenticator::new();
    assert_over(&answer_register(&service, &tokens, &registering, &mut other).await);

    // Works for its purpose only.
    let path = "/auth/passkeys/prove";
    let asked = service.post_as(&tokens, path, &json!({})).await.json();
    let proof = passkey.get(&asked["options"]);
    assert_over(&answer_log_in(&service, &asked, proof.clone()).await);
    let mut registering = ask_to_register(&service, &tokens).await;
    registering["ceremony"].clone_from(&asked["ceremony"]);
    assert_over(&answer_register(&service, &tokens, &registering, &mut other).await);
    let asked = ask_to_log_in(&service).await;
    let answer = json!({
        "ceremony": asked["ceremony"], "credential": passkey.get(&asked["options"]),
    });
    let path = "/auth/passkeys/prove/finish";
    assert_over(&service.post_as(&tokens, path, &answer).await);
    for ceremony in ["", "x", &"A".repeat(43)] {
        let answer = json!({ "ceremony": ceremony, "credential": answer["credential"] });
        assert_over(&service.post("/auth/login/passkey/finish", &answer).await);
    }
}

#[tokio::test]
async fn the_number_of_pending_passkey_requests_is_limited() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    let first = ask_to_log_in(&service).await;
    for _ in 0..60 {
        ask_to_log_in(&service).await;
    }
    let path = "/auth/passkeys/prove";
    for _ in 0..60 {
        service.post_as(&tokens, path, &json!({})).await;
    }
    let kept = count(&service, "SELECT count(*) FROM passkey_ceremonies").await;
    assert!((100..=102).contains(&kept), "{kept} are kept");
    // The newest requests still work.
    log_in(&service, &mut passkey).await.tokens();
    let late = passkey.get(&first["options"]);
    let answer = answer_log_in(&service, &first, late).await;
    // Requests of the same second are equally old.
    assert!(answer.status == StatusCode::OK || answer.code() == "invalid_ceremony");
}
