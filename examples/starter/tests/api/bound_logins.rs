//! Logins with a proof that the client has a key: those that fail, and each way to log in. Also API keys, which are not
//! bound to the key of a client.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::bound_tokens::assert_refused;
use crate::support::authenticator::{self, Authenticator}; // chapter: passkeys
use crate::support::factor::App; // chapter: second-factor
use crate::support::key_holder::KeyHolder;
use crate::support::social_login::{StandIn, Visitor}; // chapter: social-login
use crate::support::{PASSWORD, started};

const EMAIL: &str = "ada@example.com";

#[tokio::test]
async fn a_login_that_fails_uses_no_proof_up() {
    let service = started!();
    service.register(EMAIL).await;
    let client = KeyHolder::new();
    client.log_in(&service, "nobody@example.com").await; // learns the nonce
    let (method, path) = (Method::POST, "/auth/login");
    let proof = client.proof(&method, path, None);
    for (password, status) in [
        ("wrong", StatusCode::UNAUTHORIZED),
        (PASSWORD, StatusCode::OK),
        (PASSWORD, StatusCode::BAD_REQUEST),
    ] {
        let body = json!({ "email": EMAIL, "password": password }).to_string();
        let answer = client.send_with(&proof, &service, method.clone(), path, None, &body);
        assert_eq!(answer.await.status, status, "{password}");
    }
}

/// It tells neither whether there is such an account nor whether the password is right.
#[tokio::test]
async fn a_proof_tells_nobody_why_a_login_is_refused() {
    let service = started!();
    for name in ["known", "disabled"] {
        service.register(&format!("{name}@example.com")).await;
    }
    sqlx::query("UPDATE users SET disabled = TRUE WHERE email = 'disabled@example.com'")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let client = KeyHolder::new();
    client.log_in(&service, "nobody@example.com").await; // learns the nonce
    let (method, path) = (Method::POST, "/auth/login");
    let without = service.login("nobody@example.com", "wrong").await;
    let mut bad = Vec::new();
    for (name, password) in [
        ("known", "wrong"),
        ("unknown", "wrong"),
        ("disabled", PASSWORD),
        ("known", PASSWORD),
    ] {
        let body = json!({ "email": format!("{name}@example.com"), "password": password });
        let body = body.to_string();
        let good = client.proof(&method, path, None);
        let refused = client.send_with(&good, &service, method.clone(), path, None, &body);
        let refused = refused.await;
        if (name, password) != ("known", PASSWORD) {
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
            assert_eq!(refused.body, without.body, "{name}");
        }
        let proof = client.proof(&method, "/auth/refresh", None);
        let refused = client.send_with(&proof, &service, method.clone(), path, None, &body);
        let refused = refused.await;
        assert_refused(&refused, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
        bad.push(refused.body);
    }
    bad.dedup();
    assert_eq!(bad.len(), 1);
}

// chapter: second-factor {
#[tokio::test]
async fn a_login_in_two_steps_is_bound_by_the_second() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let client = KeyHolder::new();
    let challenge = client.log_in(&service, EMAIL).await.challenge();
    let path = "/auth/login/second-factor";
    let answer = |code: String| json!({ "challenge": challenge, "method": "totp", "code": code });
    let wrong = client.post(&service, path, &answer(app.wrong_code())).await;
    assert_refused(&wrong, StatusCode::FORBIDDEN, "invalid_code");
    let answer = client.post(&service, path, &answer(app.code())).await;
    let tokens = client.bound(&service, &answer).await;
    let answer = client.refresh(&service, &tokens.refresh).await;
    client.bound(&service, &answer).await;
}
// chapter: second-factor }

// chapter: passkeys {
#[tokio::test]
async fn a_login_with_a_passkey_is_bound() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    authenticator::add(&service, &tokens, &mut passkey).await;
    let client = KeyHolder::new();
    client.log_in(&service, "nobody@example.com").await; // learns the nonce
    let asked = authenticator::ask_to_log_in(&service).await;
    let credential = passkey.get(&asked["options"]);
    let answer = json!({ "ceremony": asked["ceremony"], "credential": credential });
    let path = "/auth/login/passkey/finish";
    let answer = client.post(&service, path, &answer).await;
    let tokens = client.bound(&service, &answer).await;
    let answer = client.refresh(&service, &tokens.refresh).await;
    client.bound(&service, &answer).await;
}
// chapter: passkeys }

// chapter: social-login {
#[tokio::test]
async fn a_login_at_a_provider_is_bound_by_the_request_of_the_page() {
    let provider = StandIn::start().await;
    let service =
        started!(with | settings | settings.login_providers = vec![provider.settings("one")]);
    let client = KeyHolder::new();
    client.log_in(&service, "nobody@example.com").await; // learns the nonce
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    visitor.returns("one", &provider.approves(&asked)).await;
    let proof = client.proof(&Method::POST, "/auth/login/one/finish", None);
    let answer = visitor
        .finishes_with("one", &[("dpop", proof.as_str())])
        .await;
    let tokens = visitor.tokens(&answer);
    client.assert_bound(&service, &answer, &tokens.access).await;
    // The refresh token in the cookie is bound as well.
    let stolen = service.refresh(&tokens.refresh).await;
    assert_refused(&stolen, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let answer = client.refresh(&service, &tokens.refresh).await;
    client.bound(&service, &answer).await;
}
// chapter: social-login }

// chapter: api-keys {
#[tokio::test]
async fn an_api_key_is_not_bound_and_works_without_a_proof_only() {
    let service = started!();
    let tokens = service.proved_user(EMAIL).await;
    let body = json!({ "label": "backup", "scopes": [], "expires_in_days": 7, "current_password": PASSWORD });
    let key = service.post_as(&tokens, "/auth/api-keys", &body).await;
    let key = key.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(service.get("/me", &key).await.status, StatusCode::OK);
    let client = KeyHolder::new();
    let refused = client.get(&service, "/me", &key).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
// chapter: api-keys }
