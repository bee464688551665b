//! What users can do with their passkeys, and what ends with a change of the account.

use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{EMAIL, LIST, assert_over, assert_refused, by_password, change, list, remove};
use crate::support::authenticator::{
    Authenticator, add, answer_log_in, answer_register, ask_to_log_in, ask_to_register, log_in,
    prove,
};
use crate::support::{PASSWORD, Service, Tokens, issuer_in_the_past, started};

#[tokio::test]
async fn adding_and_removing_a_passkey_needs_a_fresh_proof() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    let listed = add(&service, &tokens, &mut passkey).await;
    let path = "/auth/passkeys/register";
    for (proof, status, code) in [
        (json!({}), StatusCode::FORBIDDEN, "proof_required"),
        (
            json!({ "current_password": "wrong" }),
            StatusCode::FORBIDDEN,
            "wrong_password",
        ),
        (
            json!({ "passkey_proof": "A".repeat(43) }),
            StatusCode::BAD_REQUEST,
            "invalid_ceremony",
        ),
    ] {
        for answer in [
            service.post_as(&tokens, path, &proof).await,
            remove(&service, &tokens, &listed, &proof).await,
        ] {
            assert_eq!((answer.status, answer.code().as_str()), (status, code));
        }
    }
    // A passkey proves it as well, once.
    let proof = prove(&service, &tokens, &mut passkey).await;
    assert_eq!(proof.status, StatusCode::OK, "{:?}", proof.body);
    let proof = proof.json();
    let answer = service.post_as(&tokens, path, &proof).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_over(&service.post_as(&tokens, path, &proof).await);
    let late = prove(&service, &tokens, &mut passkey).await.json();
    change(
        &service,
        "UPDATE passkey_ceremonies SET expires_at = expires_at - 301",
    )
    .await;
    assert_over(&service.post_as(&tokens, path, &late).await);

    let name = json!({ "label": " Ada\u{2019}s phone " });
    let id = listed["id"].as_str().unwrap();
    let answer = service
        .send_json(Method::PUT, &format!("{LIST}/{id}"), &tokens.access, &name)
        .await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(
        list(&service, &tokens).await[0]["label"],
        "Ada\u{2019}s phone"
    );
    for label in [String::new(), "a\0b".to_owned(), "x".repeat(61)] {
        let name = json!({ "label": label });
        let answer = service
            .send_json(Method::PUT, &format!("{LIST}/{id}"), &tokens.access, &name)
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.code(), "invalid_label");
    }
    let proof = prove(&service, &tokens, &mut passkey).await.json();
    let answer = remove(&service, &tokens, &listed, &proof).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    let email = service.letter(EMAIL, 3).await;
    assert!(
        email.head.contains("A passkey was removed"),
        "{}",
        email.head
    );
    let answer = log_in(&service, &mut passkey).await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "unknown_passkey");
    let answer = service
        .post_as(&tokens, "/auth/passkeys/prove", &json!({}))
        .await;
    assert_eq!(answer.code(), "no_passkey");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_log_in_cannot_be_removed() {
    let service = std::sync::Arc::new(started!());
    let tokens = service.user(EMAIL).await;
    let mut passkeys = [Authenticator::new(), Authenticator::new()];
    let mut listed = Vec::new();
    for passkey in &mut passkeys {
        listed.push(add(&service, &tokens, passkey).await);
    }
    // As if the user had never had a password.
    change(&service, "UPDATE users SET password_hash = '!'").await;
    let tokens = log_in(&service, &mut passkeys[0]).await.tokens();
    // Of two removals at once, one fails.
    let mut proofs = Vec::new();
    for passkey in &mut passkeys {
        proofs.push(prove(&service, &tokens, passkey).await.json());
    }
    let mut removals = Vec::new();
    for (proof, listed) in proofs.into_iter().zip(&listed) {
        let (service, listed) = (service.clone(), listed.clone());
        let tokens = Tokens {
            access: tokens.access.clone(),
            refresh: tokens.refresh.clone(),
        };
        removals.push(tokio::spawn(async move {
            remove(&service, &tokens, &listed, &proof).await
        }));
    }
    let mut refused = 0;
    for removal in removals {
        let answer = removal.await.unwrap();
        if answer.status != StatusCode::NO_CONTENT {
            let expected = ["last_login", "invalid_ceremony"];
            assert!(
                expected.contains(&answer.code().as_str()),
                "{:?}",
                answer.body
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    let [last] = &list(&service, &tokens).await[..] else {
        panic!("one passkey is left")
    };
    let left = usize::from(last["id"] == listed[1]["id"]);
    let proof = prove(&service, &tokens, &mut passkeys[left]).await.json();
    let answer = remove(&service, &tokens, last, &proof).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{:?}", answer.body);
    assert_eq!(answer.code(), "last_login");
    log_in(&service, &mut passkeys[left]).await.tokens();
}

/// Users who log in elsewhere have nothing else to prove who they are.
#[tokio::test]
async fn an_account_without_password_and_passkey_needs_a_recent_login() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    change(&service, "UPDATE users SET password_hash = '!'").await;
    let path = "/auth/passkeys/register";
    // After eleven minutes, the user has to log in again (RFC 9470).
    let claims = tokens.claims();
    let (id, session) = (claims["sub"].as_str(), claims["sid"].as_str());
    let earlier = SystemTime::now() - Duration::from_secs(660);
    let issuer = issuer_in_the_past(Duration::ZERO);
    let token = issuer.access(id.unwrap()).session(session.unwrap());
    let token = token.auth_time(earlier).issue().unwrap();
    let late = service
        .send_json(Method::POST, path, &token, &json!({}))
        .await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    assert_eq!(late.code(), "insufficient_user_authentication");
    let asked = service.post_as(&tokens, path, &json!({})).await;
    assert_eq!(asked.status, StatusCode::OK, "{:?}", asked.body);
    let mut passkey = Authenticator::new();
    let added = answer_register(&service, &tokens, &asked.json(), &mut passkey).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let answer = service.post_as(&tokens, path, &json!({})).await;
    assert_eq!(answer.code(), "proof_required", "now there is a proof");
}

#[tokio::test]
async fn an_account_has_a_limited_number_of_passkeys() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut first = Authenticator::new();
    let listed = add(&service, &tokens, &mut first).await;
    for _ in 1..20 {
        let proof = prove(&service, &tokens, &mut first).await.json();
        let path = "/auth/passkeys/register";
        let asked = service.post_as(&tokens, path, &proof).await.json();
        let mut passkey = Authenticator::new();
        let added = answer_register(&service, &tokens, &asked, &mut passkey).await;
        assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    }
    assert_eq!(list(&service, &tokens).await.len(), 20);
    let path = "/auth/passkeys/register";
    let answer = service.post_as(&tokens, path, &by_password()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.code(), "too_many_passkeys");
    let answer = remove(&service, &tokens, &listed, &by_password()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    add(&service, &tokens, &mut Authenticator::new()).await;
}

/// Two requests at once do not bypass the limit, and do not outlive a change of the account.
#[tokio::test]
async fn a_change_of_the_account_ends_pending_passkey_requests() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    let (first, second) = (
        ask_to_register(&service, &tokens).await,
        ask_to_register(&service, &tokens).await,
    );
    let added = answer_register(&service, &tokens, &first, &mut passkey).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let mut other = Authenticator::new();
    assert_over(&answer_register(&service, &tokens, &second, &mut other).await);

    let asked = ask_to_register(&service, &tokens).await;
    let proof = prove(&service, &tokens, &mut passkey).await.json();
    let body = json!({ "current_password": PASSWORD, "new_password": "seven sleepy tortoises" });
    let path = "/auth/password/change";
    let changed = service.post_as(&tokens, path, &body).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    assert_over(&answer_register(&service, &tokens, &asked, &mut other).await);
    let path = "/auth/passkeys/register";
    assert_over(&service.post_as(&tokens, path, &proof).await);
    log_in(&service, &mut passkey).await.tokens();

    // A disabled user gets the same response as after a wrong password.
    let asked = ask_to_log_in(&service).await;
    change(&service, "UPDATE users SET disabled = TRUE").await;
    let credential = passkey.get(&asked["options"]);
    let answer = answer_log_in(&service, &asked, credential).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.code(), "invalid_credentials");
}

#[tokio::test]
async fn a_passkey_login_needs_a_confirmed_address_too() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    let place = service.stop().await;
    let service = Service::start_with(place, |settings| {
        settings.require_verified_email = true;
    })
    .await;
    let answer = log_in(&service, &mut passkey).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.code(), "invalid_credentials");
}

/// Anybody can register any address, so what they have set up does not belong to the owner.
#[tokio::test]
async fn passkeys_from_before_the_address_was_proved_end() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let link = service.letter(EMAIL, 1).await.token("confirm-email");
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    log_in(&service, &mut passkey).await.tokens();
    let body = json!({ "token": link });
    let proved = service.post("/auth/email/verify", &body).await;
    assert_eq!(proved.status, StatusCode::NO_CONTENT);
    let answer = log_in(&service, &mut passkey).await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "unknown_passkey");
    let tokens = service.login(EMAIL, PASSWORD).await.tokens();
    assert_eq!(list(&service, &tokens).await, Vec::<Value>::new());
}
