//! Codes by SMS, to the folder and to a gateway.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::factor::answer;
use crate::support::web::Web;
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";
const PHONE: &str = "+4915112345678";

/// Waits for the message with this number, and returns its code.
async fn received(service: &Service, count: usize) -> String {
    let folder = service.place.folder.path().join("sms");
    for _ in 0..2000 {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
        files.sort();
        if files.len() >= count {
            let text = std::fs::read_to_string(&files[count - 1]).unwrap();
            assert!(text.starts_with(&format!("To: {PHONE}\n")), "{text}");
            return code_in(&text);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no message {count}");
}

fn code_in(text: &str) -> String {
    let (before, _) = text.split_once(" is your code").expect(text);
    before[before.len() - 6..].to_owned()
}

async fn add(service: &Service, tokens: &Tokens, phone: &str) -> Answer {
    let body = json!({ "current_password": PASSWORD, "phone": phone });
    service
        .post_as(tokens, "/auth/second-factor/sms", &body)
        .await
}

async fn confirm(service: &Service, tokens: &Tokens, code: &str) -> Answer {
    let path = "/auth/second-factor/sms/confirm";
    service
        .post_as(tokens, path, &json!({ "code": code }))
        .await
}

fn other_than(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_by_sms_is_the_second_step() {
    let service = started!();
    let tokens = service.proved_user(EMAIL).await;
    for phone in [
        "",
        "+",
        "015112345678",
        "+0151",
        "+49 151 1234 call",
        "+491511234567890123",
    ] {
        let answer = add(&service, &tokens, phone).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.code(), "invalid_phone");
    }
    let answer_ = add(&service, &tokens, PHONE).await;
    assert_eq!(answer_.status, StatusCode::ACCEPTED);
    let code = received(&service, 1).await;
    let wrong = confirm(&service, &tokens, &other_than(&code)).await;
    assert_eq!(wrong.code(), "invalid_code");
    let added = confirm(&service, &tokens, &code).await;
    assert_eq!(added.status, StatusCode::OK, "{:?}", added.body);
    assert_eq!(
        confirm(&service, &tokens, &code).await.code(),
        "invalid_code"
    );

    let login = service.login(EMAIL, PASSWORD).await;
    assert_eq!(login.json()["methods"], json!(["sms", "recovery_code"]));
    let challenge = login.challenge();
    // That code was for the other purpose.
    let wrong = answer(&service, &challenge, "sms", &code).await;
    assert_eq!(wrong.code(), "invalid_code");
    let sent = service
        .post("/auth/login/sms", &json!({ "challenge": challenge }))
        .await;
    assert_eq!(sent.status, StatusCode::ACCEPTED);
    let code = received(&service, 2).await;
    let tokens = answer(&service, &challenge, "sms", &code).await.tokens();
    assert_eq!(tokens.claims()["amr"], json!(["pwd", "sms", "mfa"]));
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let again = answer(&service, &challenge, "sms", &code).await;
    assert_eq!(again.code(), "invalid_code");

    let over = service
        .post("/auth/login/sms", &json!({ "challenge": "x" }))
        .await;
    assert_eq!(over.code(), "invalid_challenge");
    let kept: String = sqlx::query_scalar("SELECT hash FROM sms_codes WHERE purpose = 'login'")
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert!(kept.starts_with("$argon2id$"), "{kept}"); // OWASP ASVS 5.0 V6.5.2
}

/// OWASP ASVS 5.0 V6.5.5 and V6.6.3.
#[tokio::test]
async fn a_code_by_sms_allows_five_attempts_in_five_minutes() {
    let service = started!();
    let tokens = service.proved_user(EMAIL).await;
    add(&service, &tokens, PHONE).await;
    let code = received(&service, 1).await;
    for _ in 0..5 {
        let wrong = confirm(&service, &tokens, &other_than(&code)).await;
        assert_eq!(wrong.code(), "invalid_code");
    }
    assert_eq!(
        confirm(&service, &tokens, &code).await.code(),
        "invalid_code"
    );

    add(&service, &tokens, PHONE).await;
    let code = received(&service, 2).await;
    sqlx::query("UPDATE sms_codes SET expires_at = expires_at - 301")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(
        confirm(&service, &tokens, &code).await.code(),
        "invalid_code"
    );
    // Each SMS costs money.
    for number in 3..=6 {
        let answer = add(&service, &tokens, PHONE).await;
        let expected = match number {
            6 => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::ACCEPTED,
        };
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn the_gateway_gets_requests_in_the_format_of_twilio() {
    let web = Web::start().await;
    let url = web.url().replace("http://", "http://AC7:secret@");
    let service = started!(
        with | settings | {
            settings.sms.url = Some(url);
            settings.sms.from = "+15550006789".to_owned();
        }
    );
    let tokens = service.proved_user(EMAIL).await;
    // The gateway is unavailable for a moment.
    web.answers(StatusCode::SERVICE_UNAVAILABLE, "");
    let answer = add(&service, &tokens, PHONE).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    while web.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    web.answers(StatusCode::CREATED, "{}");
    while web.asked().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = web.asked().pop().unwrap();
    assert_eq!(asked.path, "/2010-04-01/Accounts/AC7/Messages.json");
    assert_eq!(asked.headers["authorization"], "Basic QUM3OnNlY3JldA==");
    assert_eq!(
        asked.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let form = "To=%2B4915112345678&From=%2B15550006789&Body=";
    assert!(asked.body.starts_with(form), "{}", asked.body);
    let code = code_in(&asked.body.replace('+', " "));
    assert_eq!(
        confirm(&service, &tokens, &code).await.status,
        StatusCode::OK
    );

    // A message that the gateway refuses permanently is not sent again.
    web.answers(StatusCode::BAD_REQUEST, "");
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    service
        .post("/auth/login/sms", &json!({ "challenge": challenge }))
        .await;
    service.stop().await;
    assert_eq!(web.asked().len(), 3);
}

#[tokio::test]
async fn a_code_to_remove_the_factors_goes_only_to_the_phone() {
    let service = started!();
    let ada = service.proved_user(EMAIL).await;
    let send = "/auth/second-factor/sms/send";
    let none = service.post_as(&ada, send, &json!({})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    add(&service, &ada, PHONE).await;
    // An unconfirmed number gets no code except the one that confirms it.
    let none = service.post_as(&ada, send, &json!({})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let code = received(&service, 1).await;
    assert_eq!(confirm(&service, &ada, &code).await.status, StatusCode::OK);
    let sent = service.post_as(&ada, send, &json!({})).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED);
    let code = received(&service, 2).await;
    let body = json!({ "current_password": PASSWORD, "method": "sms", "code": code });
    let removed = service
        .post_as(&ada, "/auth/second-factor/remove", &body)
        .await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    service.login(EMAIL, PASSWORD).await.tokens();
}

/// Each SMS costs money, and accounts are free, so they must not multiply what one can send.
#[tokio::test]
async fn many_accounts_can_send_few_codes_to_one_number() {
    let service = started!();
    let mut accepted = 0;
    for number in 0..3 {
        let email = format!("user{number}@example.com");
        let tokens = service.proved_user(&email).await;
        for _ in 0..5 {
            let answer = add(&service, &tokens, PHONE).await;
            if answer.status == StatusCode::ACCEPTED {
                accepted += 1;
                continue;
            }
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            let wait = answer.header("retry-after").parse::<u32>().unwrap();
            assert!((1..=3600).contains(&wait), "{wait}");
        }
    }
    assert_eq!(accepted, 5);
    // Another number has limits of its own.
    let tokens = service.proved_user("eve@example.com").await;
    let answer = add(&service, &tokens, "+4915187654321").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_account_with_an_unconfirmed_address_gets_no_sms() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let answer = add(&service, &tokens, PHONE).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.code(), "email_not_confirmed");
    let folder = service.stop().await.folder;
    let sms = std::fs::read_dir(folder.path().join("sms")).unwrap();
    let texts = sms.flatten().map(|file| file.file_name());
    let texts = texts.filter(|name| name.to_string_lossy().ends_with(".txt"));
    assert_eq!(texts.count(), 0);
}

/// Codes for new numbers cannot use up what logins need.
#[tokio::test]
async fn the_whole_service_has_a_daily_limit_of_codes() {
    let service = started!(with | settings | settings.sms.per_day = 4);
    let ada = service.proved_user(EMAIL).await;
    assert_eq!(
        add(&service, &ada, PHONE).await.status,
        StatusCode::ACCEPTED
    );
    let code = received(&service, 1).await;
    assert_eq!(confirm(&service, &ada, &code).await.status, StatusCode::OK);
    let eve = service.proved_user("eve@example.com").await;
    for (phone, status) in [
        ("+4915100000001", StatusCode::ACCEPTED),
        ("+4915100000002", StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(add(&service, &eve, phone).await.status, status, "{phone}");
    }
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let body = json!({ "challenge": challenge });
    for status in [
        StatusCode::ACCEPTED,
        StatusCode::ACCEPTED,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        let sent = service.post("/auth/login/sms", &body).await;
        assert_eq!(sent.status, status);
    }
}

#[tokio::test]
async fn a_service_without_sms_says_so() {
    let service = started!(with | settings | settings.sms.is_offered = false);
    let tokens = service.proved_user(EMAIL).await;
    let answer = add(&service, &tokens, PHONE).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.code(), "sms_not_offered");
}

#[tokio::test]
async fn a_phone_number_is_the_same_however_it_is_typed() {
    let service = started!();
    let tokens = service.proved_user(EMAIL).await;
    for typed in [
        "+49 151 12345678",
        "+49 (0) 151 123-456-78",
        "0049 151 / 123 456 78",
        "\u{ff0b}\u{ff14}\u{ff19}15112345678",
        "tel:+49-151-12345678",
        "\u{202a}+49\u{a0}151\u{a0}12345678\u{202c}",
    ] {
        let body = json!({ "current_password": PASSWORD, "phone": typed });
        let answer = service
            .post_as(&tokens, "/auth/second-factor/sms", &body)
            .await;
        // Five codes may be sent to a new number within 15 minutes.
        for clear in ["DELETE FROM quotas", "DELETE FROM sms_codes"] {
            sqlx::query(clear)
                .execute(&mut service.database().await)
                .await
                .unwrap();
        }
        assert_eq!(
            answer.status,
            StatusCode::ACCEPTED,
            "{typed:?} {:?}",
            answer.body
        );
        let kept: String = sqlx::query_scalar("SELECT secret FROM second_factors")
            .fetch_one(&mut service.database().await)
            .await
            .unwrap();
        assert_eq!(kept, "+4915112345678", "{typed:?}");
    }
}
