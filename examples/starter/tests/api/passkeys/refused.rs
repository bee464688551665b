//! What is refused, each with its own reason.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{EMAIL, LIST, OTHER, assert_over, assert_refused, by_password, list, remove};
use crate::support::authenticator::{
    Authenticator, add, answer_log_in, answer_register, ask_to_log_in, ask_to_register, log_in,
    prove,
};
use crate::support::started;

#[tokio::test]
async fn every_wrong_login_by_passkey_has_its_reason() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut good = Authenticator::new();
    add(&service, &tokens, &mut good).await;
    let mut unknown = Authenticator::new();
    unknown.user_handle.clone_from(&good.user_handle);
    let with = |change: fn(&mut Authenticator)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    for (mut passkey, reason) in [
        (unknown, "unknown_passkey"),
        (good.with_another_key(), "wrong_signature"),
        (
            with(|it| it.origin = "https://app.test.evil.example".to_owned()),
            "wrong_origin",
        ),
        (
            with(|it| it.origin = "https://login.app.test".to_owned()),
            "wrong_origin",
        ),
        (
            with(|it| it.origin = "http://app.test".to_owned()),
            "wrong_origin",
        ),
        (
            with(|it| it.origin = "https://app.test:8443".to_owned()),
            "wrong_origin",
        ),
        (with(|it| it.rp_id = "test".to_owned()), "wrong_rp_id"),
        (with(|it| it.verifies = false), "user_not_verified"),
        (with(|it| it.user_handle = Some(vec![7; 16])), "wrong_user"),
        (with(|it| it.user_handle = None), "wrong_user"),
    ] {
        let answer = log_in(&service, &mut passkey).await;
        assert_refused(&answer, StatusCode::UNAUTHORIZED, reason);
    }
    // The answer to another request.
    let (first, second) = (ask_to_log_in(&service).await, ask_to_log_in(&service).await);
    let credential = good.get(&first["options"]);
    let answer = answer_log_in(&service, &second, credential).await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "wrong_challenge");
    // The answer to a registration does not log in.
    let question = ask_to_log_in(&service).await;
    let credential = good.create(&json!({
        "user": { "id": "AAAA" }, "challenge": question["options"]["challenge"],
    }));
    let answer = answer_log_in(&service, &question, credential).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn every_wrong_registration_has_its_reason() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let with = |change: fn(&mut Authenticator)| {
        let mut changed = Authenticator::new();
        change(&mut changed);
        changed
    };
    for (mut passkey, reason) in [
        (
            with(|it| it.origin = "https://evil.example".to_owned()),
            "wrong_origin",
        ),
        (
            with(|it| it.rp_id = "evil.example".to_owned()),
            "wrong_rp_id",
        ),
        (with(|it| it.verifies = false), "user_not_verified"),
    ] {
        let asked = ask_to_register(&service, &tokens).await;
        let answer = answer_register(&service, &tokens, &asked, &mut passkey).await;
        assert_refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, reason);
    }
    let (first, mut second) = (
        ask_to_register(&service, &tokens).await,
        ask_to_register(&service, &tokens).await,
    );
    second["ceremony"].clone_from(&first["ceremony"]);
    let answer = answer_register(&service, &tokens, &second, &mut Authenticator::new()).await;
    assert_refused(&answer, StatusCode::UNPROCESSABLE_ENTITY, "wrong_challenge");
    assert_eq!(list(&service, &tokens).await, Vec::<Value>::new());

    // A registered passkey cannot be registered again, even with another account.
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    let other = service.user(OTHER).await;
    for tokens in [&tokens, &other] {
        let asked = ask_to_register(&service, tokens).await;
        let answer = answer_register(&service, tokens, &asked, &mut passkey.clone()).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{:?}", answer.body);
        assert_eq!(answer.code(), "passkey_exists");
    }
    log_in(&service, &mut passkey).await.tokens();
}

/// Random bytes from an authenticator are a client error.
#[tokio::test]
async fn a_mangled_passkey_response_is_never_a_server_error() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    add(&service, &tokens, &mut passkey).await;
    for (field, registers) in [
        ("attestationObject", true),
        ("clientDataJSON", true),
        ("authenticatorData", false),
        ("clientDataJSON", false),
        ("signature", false),
    ] {
        for round in 0..24_usize {
            let asked = match registers {
                true => ask_to_register(&service, &tokens).await,
                false => ask_to_log_in(&service).await,
            };
            let mut credential = match registers {
                true => Authenticator::new().create(&asked["options"]),
                false => passkey.get(&asked["options"]),
            };
            let text = credential["response"][field].as_str().unwrap();
            let mut bytes = text.as_bytes().to_vec();
            let at = round * bytes.len() / 24;
            match round % 3 {
                0 => bytes.truncate(at / 4 * 4),
                1 => bytes[at] = if bytes[at] == b'_' { b'A' } else { b'_' },
                _ => bytes
                    .splice(at / 4 * 4..at / 4 * 4, *b"____")
                    .for_each(drop),
            }
            credential["response"][field] = String::from_utf8(bytes).unwrap().into();
            let answer = match registers {
                true => {
                    let body = json!({
                        "ceremony": asked["ceremony"], "credential": credential, "label": "x",
                    });
                    let path = "/auth/passkeys/register/finish";
                    service.post_as(&tokens, path, &body).await
                }
                false => answer_log_in(&service, &asked, credential).await,
            };
            let status = answer.status;
            // Changing the id or the type of the key just makes another passkey.
            let is_fine = status.is_client_error() || (registers && status == StatusCode::CREATED);
            assert!(is_fine, "{field} {round}: {status} {:?}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_passkey_works_only_for_its_user() {
    let service = started!();
    let (ada, eve) = (service.user(EMAIL).await, service.user(OTHER).await);
    let (mut of_ada, mut of_eve) = (Authenticator::new(), Authenticator::new());
    let listed = add(&service, &ada, &mut of_ada).await;
    add(&service, &eve, &mut of_eve).await;
    // Neither her request nor her answer.
    let asked = ask_to_register(&service, &ada).await;
    assert_over(&answer_register(&service, &eve, &asked, &mut Authenticator::new()).await);
    let answer = prove(&service, &eve, &mut of_ada).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_user");
    let mut disguised = of_ada.clone();
    disguised.user_handle.clone_from(&of_eve.user_handle);
    let answer = prove(&service, &eve, &mut disguised).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_user");
    // Not her proof.
    let proof = prove(&service, &ada, &mut of_ada).await.json();
    let answer = service
        .post_as(&eve, "/auth/passkeys/register", &proof)
        .await;
    assert_over(&answer);
    // Not her list.
    let answer = remove(&service, &eve, &listed, &by_password()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let path = format!("{LIST}/{}", listed["id"].as_str().unwrap());
    let name = json!({ "label": "Mine" });
    let answer = service
        .send_json(Method::PUT, &path, &eve.access, &name)
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(list(&service, &ada).await[0]["label"], "My laptop");
}

/// WebAuthn Level 3 section 6.1.1: of two copies, one has a counter that is behind.
#[tokio::test]
async fn a_copied_passkey_is_not_accepted_any_more() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let mut passkey = Authenticator::new();
    let listed = add(&service, &tokens, &mut passkey).await;
    let mut copy = passkey.clone();
    log_in(&service, &mut passkey).await.tokens();
    let answer = log_in(&service, &mut copy).await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "possible_copy");
    // Nobody knows which of the two belongs to the owner. The owner is told, and can remove it.
    for passkey in [&mut passkey, &mut copy] {
        passkey.counter += 100;
        let answer = log_in(&service, passkey).await;
        assert_refused(&answer, StatusCode::UNAUTHORIZED, "possible_copy");
    }
    let email = service.letter(EMAIL, 3).await;
    assert!(
        email.head.contains("may have been copied"),
        "{}",
        email.head
    );
    let [refused] = &list(&service, &tokens).await[..] else {
        panic!("one passkey")
    };
    assert_eq!(refused["is_refused"], true);
    let removed = remove(&service, &tokens, &listed, &by_password()).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
}
