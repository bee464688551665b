//! What the log tells an operator about an attack.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::start_with;
use crate::new_place;
use crate::support::factor::code;
use crate::support::{PASSWORD, Tokens};

const EMAIL: &str = "ada@example.com";
const GUESS: &str = "a guess that is no password";
const IP: &str = "192.0.2.77";

fn digest(text: &str) -> String {
    format!("#{}", &URL_SAFE_NO_PAD.encode(Sha256::digest(text))[..12])
}

#[tokio::test]
async fn refused_logins_are_logged_with_account_and_client_address() {
    let Some(place) = new_place().await else {
        return;
    };
    let (running, client) = start_with(
        &place,
        &[
            ("RATE_LIMIT_PER_MINUTE", "0"),
            ("LOG_FORMAT", "json"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ],
    );
    let post = async |path: &str, body: Value| {
        let headers = [
            ("content-type", "application/json"),
            ("x-forwarded-for", IP),
        ];
        client
            .request(Method::POST, path, &headers, body.to_string())
            .await
    };
    let login = async |email: &str, password: &str| {
        post(
            "/auth/login",
            json!({ "email": email, "password": password }),
        )
        .await
    };
    client.register(EMAIL).await;
    let tokens: Tokens = login(EMAIL, PASSWORD).await.tokens();
    login(EMAIL, GUESS).await;
    login("nobody@example.com", GUESS).await;
    for _ in 0..11 {
        login("throttled@example.com", GUESS).await;
    }
    let body = json!({ "current_password": GUESS });
    client
        .post_as(&tokens, "/auth/second-factor/totp", &body)
        .await;
    let body = json!({ "current_password": PASSWORD });
    let enrolment = client
        .post_as(&tokens, "/auth/second-factor/totp", &body)
        .await
        .json();
    let secret = enrolment["secret"].as_str().unwrap();
    let wrong = format!(
        "{:06}",
        (code(secret).parse::<u32>().unwrap() + 500_000) % 1_000_000
    );
    let confirm = "/auth/second-factor/totp/confirm";
    client
        .post_as(&tokens, confirm, &json!({ "code": wrong }))
        .await;
    let added = client
        .post_as(&tokens, confirm, &json!({ "code": code(secret) }))
        .await;
    assert_eq!(added.status, 200);
    let challenge = login(EMAIL, PASSWORD).await.challenge();
    let answer = async |challenge: &str| {
        let body = json!({ "challenge": challenge, "method": "totp", "code": wrong });
        post("/auth/login/second-factor", body).await
    };
    answer(&challenge).await;
    answer("unknown").await;
    post("/auth/email/verify", json!({ "token": "unknown" })).await;
    post(
        "/auth/password/reset",
        json!({ "token": "unknown", "new_password": GUESS }),
    )
    .await;
    let user = tokens.claims()["sub"].as_str().unwrap().to_owned();
    let log = running.stop();

    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let (account, user) = (digest(EMAIL), digest(&user));
    for expected in [
        json!({ "event": "login_succeeded", "account": account, "user": user, "ip": IP, "amr": "pwd" }),
        json!({ "event": "login_failed", "account": account, "user": user, "ip": IP, "reason": "wrong_password" }),
        json!({ "event": "login_failed", "account": digest("nobody@example.com"), "ip": IP, "reason": "unknown_account" }),
        json!({ "event": "login_throttled", "account": digest("throttled@example.com"), "ip": IP }),
        json!({ "event": "password_check_failed", "account": account, "user": user }),
        json!({ "event": "second_factor_failed", "account": account, "user": user, "method": "totp", "session": digest(tokens.claims()["sid"].as_str().unwrap()) }),
        json!({ "event": "second_factor_failed", "account": account, "user": user, "method": "totp", "ip": IP, "reason": "wrong_code" }),
        json!({ "event": "challenge_refused", "ip": IP }),
        json!({ "event": "link_refused", "ip": IP, "purpose": "confirm_email" }),
        json!({ "event": "link_refused", "ip": IP, "purpose": "reset_password" }),
    ] {
        let expected = expected.as_object().unwrap();
        let found = lines.iter().any(|line| {
            let same = |(name, value): (&String, &Value)| line.get(name) == Some(value);
            expected.iter().all(same)
        });
        assert!(found, "{expected:?} in {log}");
    }
    for secret in [
        PASSWORD,
        GUESS,
        EMAIL,
        secret,
        &wrong,
        &challenge,
        &tokens.access,
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
