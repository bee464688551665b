//! The second factor against somebody who knows the password: it cannot be guessed, and the owner is not
//! locked out.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::factor::{App, answer, code, forget_step};
use crate::support::{Answer, PASSWORD, Service, started};

const EMAIL: &str = "ada@example.com";
const NEW: &str = "another horse, another battery";

/// Sends a request from this address.
async fn post(service: &Service, ip: &str, path: &str, body: &serde_json::Value) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", ip),
    ];
    service
        .request(Method::POST, path, &headers, body.to_string())
        .await
}

async fn login(service: &Service, ip: &str, password: &str, code: &str) -> Answer {
    let body = json!({ "email": EMAIL, "password": password });
    let challenge = post(service, ip, "/auth/login", &body).await.challenge();
    let body = json!({ "challenge": challenge, "method": "totp", "code": code });
    post(service, ip, "/auth/login/second-factor", &body).await
}

async fn run(service: &Service, statement: &'static str) {
    sqlx::query(statement)
        .execute(&mut service.database().await)
        .await
        .unwrap();
}

async fn reset(service: &Service, letter: usize, password: &str) {
    let body = json!({ "email": EMAIL });
    service.post("/auth/password/forgot", &body).await;
    let token = service.letter(EMAIL, letter).await.token("reset-password");
    let body = json!({ "token": token, "new_password": password });
    let answer = service.post("/auth/password/reset", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    service.letter(EMAIL, letter + 1).await;
    run(service, "DELETE FROM one_time_tokens").await;
}

#[tokio::test]
async fn a_new_password_unlocks_the_second_factor() {
    let service = started!(
        with | settings | {
            settings.trusted_proxies = service::TrustedProxies::parse("127.0.0.1").unwrap();
        }
    );
    let app = App::of(&service, EMAIL).await;
    service.letter(EMAIL, 2).await;
    let wrong = login(&service, "192.0.2.1", PASSWORD, &app.wrong_code()).await;
    assert_eq!(wrong.code(), "invalid_code");
    // As if the attacker had continued for a day.
    let lock = "UPDATE login_failures SET failures = 100 WHERE place = '' \
                AND account IN (SELECT account FROM login_failures WHERE place = '192.0.2.1' \
                    AND failures > 0)";
    run(&service, lock).await;
    let locked = login(&service, "192.0.2.2", PASSWORD, &app.code()).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);

    let words = ["one", "two", "three", "four"].map(|word| format!("{NEW} {word}"));
    for (number, password) in words.iter().enumerate() {
        reset(&service, 3 + 2 * number, password).await;
        forget_step(&service).await;
        if number == 3 {
            // Not without end: somebody who can read the emails must not guess forever.
            let locked = login(&service, "192.0.2.3", password, &app.code()).await;
            assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
        } else {
            let wrong = login(&service, "192.0.2.3", password, &app.wrong_code()).await;
            assert_eq!(wrong.code(), "invalid_code");
            run(
                &service,
                "UPDATE login_failures SET failures = 100 WHERE place = '' AND failures > 0",
            )
            .await;
        }
    }
    // A right code resets the count: the first reset was enough for the owner.
    run(&service, "UPDATE login_failures SET failures = 0").await;
    login(&service, "192.0.2.4", &words[3], &app.code())
        .await
        .tokens();
    let forgiven = "SELECT count(*) FROM login_failures WHERE forgiven > 0 AND place = ''";
    let forgiven: i64 = sqlx::query_scalar(forgiven)
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(forgiven, 0);
}

#[tokio::test]
async fn the_owner_logs_in_after_the_first_reset() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    service.letter(EMAIL, 2).await;
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let wrong = app.wrong_code();
    answer(&service, &challenge, "totp", &wrong).await;
    run(
        &service,
        "UPDATE login_failures SET failures = 100, known_at = 0",
    )
    .await;
    reset(&service, 3, NEW).await;
    let challenge = service.login(EMAIL, NEW).await.challenge();
    answer(&service, &challenge, "totp", &app.code())
        .await
        .tokens();
}

#[tokio::test]
async fn confirming_an_app_allows_ten_codes_within_15_minutes() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let propose = async || {
        let body = json!({ "current_password": PASSWORD });
        let path = "/auth/second-factor/totp";
        let enrolment = service.post_as(&tokens, path, &body).await;
        assert_eq!(enrolment.status, StatusCode::OK);
        enrolment.json()["secret"].as_str().unwrap().to_owned()
    };
    let confirm = async |code: &str| {
        let path = "/auth/second-factor/totp/confirm";
        service
            .post_as(&tokens, path, &json!({ "code": code }))
            .await
    };
    let secret = propose().await;
    let late = "UPDATE second_factors SET created_at = created_at - 901";
    run(&service, late).await;
    assert_eq!(confirm(&code(&secret)).await.code(), "invalid_code");
    let secret = propose().await;
    let wrong = format!(
        "{:06}",
        (code(&secret).parse::<u32>().unwrap() + 500_000) % 1_000_000
    );
    for _ in 0..9 {
        assert_eq!(confirm(&wrong).await.code(), "invalid_code");
    }
    let locked = confirm(&code(&secret)).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    run(&service, "UPDATE login_failures SET failed_at = 0").await;
    let added = confirm(&code(&secret)).await;
    assert_eq!(added.status, StatusCode::OK);
    // Old proposals are removed, and confirmed factors are not.
    run(&service, late).await;
    let insert = "INSERT INTO second_factors (user_id, kind, secret, created_at) \
                  SELECT id, 'sms', '+491511234567', 0 FROM users";
    run(&service, insert).await;
    let service = Service::start_in(service.stop().await).await;
    let mut left = Vec::new();
    for _ in 0..1000 {
        left = sqlx::query_scalar::<_, String>("SELECT kind FROM second_factors")
            .fetch_all(&mut service.database().await)
            .await
            .unwrap();
        if left == ["totp"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{left:?}");
}

/// A used step in the far future, written while the clock was fast, locks nobody out.
#[tokio::test]
async fn a_code_works_although_the_last_was_used_with_a_fast_clock() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    run(
        &service,
        "UPDATE second_factors SET last_step = last_step + 200000000",
    )
    .await;
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let used = app.code();
    answer(&service, &challenge, "totp", &used).await.tokens();
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let again = answer(&service, &challenge, "totp", &used).await;
    assert_eq!(again.code(), "invalid_code");
}
