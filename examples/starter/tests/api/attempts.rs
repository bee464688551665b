//! Guessing passwords: it takes forever, and does not lock out the owner.

use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const HOME: &str = "192.0.2.1";

/// Starts a service that trusts the forwarded client address.
macro_rules! proxied {
    () => {
        started!(
            with | settings | {
                settings.trusted_proxies = service::TrustedProxies::parse("127.0.0.1").unwrap();
            }
        )
    };
}

async fn login(service: &Service, ip: &str, email: &str, password: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", ip),
    ];
    let body = json!({ "email": email, "password": password }).to_string();
    service
        .request(Method::POST, "/auth/login", &headers, body)
        .await
}

async fn set(service: &Service, change: &'static str) {
    sqlx::query(change)
        .execute(&mut service.database().await)
        .await
        .unwrap();
}

fn assert_throttled(answer: &Answer, longest: u64) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.code(), "too_many_requests");
    let seconds = answer.headers[RETRY_AFTER].to_str().unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    assert!((1..=longest).contains(&seconds), "{seconds}");
}

/// OWASP ASVS 5.0 V6.3.1 and V6.3.8.
#[tokio::test]
async fn ten_failures_from_an_address_delay_everybody_there() {
    let service = proxied!();
    service.register("ada@example.com").await;
    let mut answers = Vec::new();
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            let answer = login(&service, HOME, email, "wrong").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
        // Not even the right password is checked.
        let answer = login(&service, HOME, email, PASSWORD).await;
        assert_throttled(&answer, 5);
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    // Another address or another account is not affected.
    let elsewhere = login(&service, "192.0.2.2", "ada@example.com", "wrong").await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED);

    set(
        &service,
        "UPDATE login_failures SET failed_at = failed_at - 6",
    )
    .await;
    login(&service, HOME, "ada@example.com", PASSWORD)
        .await
        .tokens();
    // Only consecutive failures count: a success resets them.
    for _ in 0..10 {
        let answer = login(&service, HOME, "ada@example.com", "wrong").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
}

/// OWASP ASVS 5.0 V6.1.1: not even failures from a thousand addresses.
#[tokio::test]
async fn failures_from_elsewhere_do_not_lock_out_the_owner() {
    let service = proxied!();
    service.register("ada@example.com").await;
    login(&service, HOME, "ada@example.com", PASSWORD)
        .await
        .tokens();
    for number in 0..20 {
        let ip = format!("198.51.100.{number}");
        let answer = login(&service, &ip, "ada@example.com", "wrong").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let answer = login(&service, "198.51.100.99", "ada@example.com", "wrong").await;
    assert_throttled(&answer, 2);

    // The owner, at a known address, does not notice. The success resets the count.
    login(&service, HOME, "ada@example.com", PASSWORD)
        .await
        .tokens();
    let answer = login(&service, "198.51.100.99", "ada@example.com", "wrong").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    // A month later the address is no longer known.
    set(
        &service,
        "UPDATE login_failures SET known_at = known_at - 2600000",
    )
    .await;
    set(
        &service,
        "UPDATE login_failures SET failures = 30 WHERE place = ''",
    )
    .await;
    let answer = login(&service, HOME, "ada@example.com", PASSWORD).await;
    assert_throttled(&answer, 2);
}

#[tokio::test]
async fn after_100_failures_only_a_password_reset_helps() {
    let service = proxied!();
    service.register("ada@example.com").await;
    let tokens = login(&service, HOME, "ada@example.com", PASSWORD)
        .await
        .tokens();
    set(
        &service,
        "UPDATE login_failures SET failures = 99, failed_at = 7",
    )
    .await;
    for ip in [HOME, "192.0.2.2"] {
        let last = login(&service, ip, "ada@example.com", "wrong").await;
        assert_eq!(last.status, StatusCode::UNAUTHORIZED);
        set(&service, "UPDATE login_failures SET failed_at = 7").await;
        let answer = login(&service, ip, "ada@example.com", PASSWORD).await;
        if ip == HOME {
            assert_throttled(&answer, 900);
        }
    }
    let answer = login(&service, "192.0.2.3", "ada@example.com", PASSWORD).await;
    assert_throttled(&answer, 900);
    // Users who are logged in stay logged in.
    service.assert_good(&tokens).await;

    service.letter("ada@example.com", 1).await;
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let letter = service.letter("ada@example.com", 2).await;
    let body = json!({ "token": letter.token("reset-password"), "new_password": PASSWORD });
    let answer = service.post("/auth/password/reset", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    for ip in [HOME, "192.0.2.3"] {
        login(&service, ip, "ada@example.com", PASSWORD)
            .await
            .tokens();
    }
}

/// Attempts are counted before the password is checked.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_guesses_all_count() {
    let service = std::sync::Arc::new(proxied!());
    service.register("ada@example.com").await;
    let guesses: Vec<_> = (0..40)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let answer = login(&service, HOME, "ada@example.com", "wrong").await;
                answer.status
            })
        })
        .collect();
    let mut looked_at = 0;
    for guess in guesses {
        match guess.await.unwrap() {
            StatusCode::UNAUTHORIZED => looked_at += 1,
            StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!("{other}"),
        }
    }
    // A twelfth attempt was allowed if the first ones took more than five seconds.
    assert!((10..=12).contains(&looked_at), "{looked_at}");
}

/// OWASP ASVS 5.0 V6.3.4: a stolen access token does not bypass the limit, and does not lock out the owner.
#[tokio::test]
async fn a_session_has_ten_attempts_at_the_current_password() {
    let service = started!();
    let stolen = service.user("ada@example.com").await;
    let own = service.login("ada@example.com", PASSWORD).await.tokens();
    async fn change(service: &Service, tokens: &Tokens, current: &str) -> Answer {
        let body = json!({ "current_password": current, "new_password": PASSWORD });
        service
            .post_as(tokens, "/auth/password/change", &body)
            .await
    }
    for _ in 0..10 {
        let answer = change(&service, &stolen, "wrong").await;
        assert_eq!(answer.code(), "wrong_password");
    }
    assert_throttled(&change(&service, &stolen, PASSWORD).await, 5);
    service.login("ada@example.com", PASSWORD).await.tokens();
    let answer = change(&service, &own, PASSWORD).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_right_passwords_do_not_count_as_guesses() {
    let service = Arc::new(started!());
    service.register("ada@example.com").await;
    for round in 0..2 {
        let logins: Vec<_> = (0..50)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move { service.login("ada@example.com", PASSWORD).await.status })
            })
            .collect();
        let mut passed = 0;
        for login in logins {
            match login.await.unwrap() {
                StatusCode::OK => passed += 1,
                // A slow machine may refuse some passwords with 503.
                StatusCode::SERVICE_UNAVAILABLE => {}
                other => panic!("{other} in round {round}"),
            }
        }
        assert!(passed > 0);
    }
}
