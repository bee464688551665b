//! One-time codes that people copy from a screen, as they type and paste them.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::factor::{App, answer, code, forget_step};
use crate::support::{Answer, PASSWORD, Service, started};

const EMAIL: &str = "ada@example.com";

/// The same six digits as apps show them and as keyboards send them.
fn spellings(code: &str) -> Vec<String> {
    let (first, last) = code.split_at(3);
    let digits = |zero: char| -> String {
        let digit = |c: char| char::from_u32(u32::from(zero) + c.to_digit(10)?);
        code.chars().filter_map(digit).collect()
    };
    let between = [
        " ", "\u{a0}", "\u{202f}", "\u{200b}", "-", "\u{2013}", "\t", " \u{b7} ",
    ];
    let mut all: Vec<String> = between
        .iter()
        .map(|it| format!("{first}{it}{last}"))
        .collect();
    all.push(format!("\u{feff} {code}\r\n"));
    all.push(format!("\u{202a}{code}\u{202c}"));
    // Full-width, Arabic, Persian and Devanagari digits.
    all.extend(['\u{ff10}', '\u{660}', '\u{6f0}', '\u{966}'].map(digits));
    all
}

fn assert_malformed(answer: &Answer, expected: &str) {
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{:?}",
        answer.body
    );
    assert_eq!(answer.code(), "malformed_code");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(expected), "{detail}");
}

async fn challenge(service: &Service) -> String {
    service.login(EMAIL, PASSWORD).await.challenge()
}

#[tokio::test]
async fn a_code_is_the_same_however_it_is_typed() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    for number in 0..spellings("000000").len() {
        let challenge = challenge(&service).await;
        let typed = spellings(&app.code())[number].clone();
        let answer = answer(&service, &challenge, "totp", &typed).await;
        assert_eq!(answer.status, StatusCode::OK, "{typed:?} {:?}", answer.body);
        forget_step(&service).await;
    }
    let body = json!({
        "current_password": PASSWORD, "method": "totp", "code": spellings(&app.code())[0],
    });
    let path = "/auth/second-factor/remove";
    let removed = service.post_as(&app.tokens, path, &body).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{:?}", removed.body);
}

#[tokio::test]
async fn a_first_code_is_confirmed_however_it_is_typed() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let body = json!({ "current_password": PASSWORD });
    let path = "/auth/second-factor/totp";
    let secret = service.post_as(&tokens, path, &body).await.json();
    let secret = secret["secret"].as_str().unwrap();
    let path = "/auth/second-factor/totp/confirm";
    for none in ["", "12345", "1234567", "12a456", "\u{0}123456"] {
        let body = json!({ "code": none });
        assert_malformed(&service.post_as(&tokens, path, &body).await, "six digits");
    }
    let body = json!({ "code": spellings(&code(secret))[1] });
    let added = service.post_as(&tokens, path, &body).await;
    assert_eq!(added.status, StatusCode::OK, "{:?}", added.body);
}

#[tokio::test]
async fn a_recovery_code_is_the_same_however_it_is_typed() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
        c => c,
    };
    let spell: [&dyn Fn(&str) -> String; 7] = [
        &|code| code.replace('-', ""),
        &|code| code.to_uppercase(),
        &|code| format!(" {} \n", code.replace('-', " ")),
        &|code| code.replace('-', "\u{2013}"),
        &|code| code.replace('-', "\u{2011}").to_uppercase(),
        &|code| code.chars().map(wide).collect(),
        // These letters occur in no code, so they are misread digits.
        &|code| code.replace('0', "O").replace('1', "l"),
    ];
    for (spell, code) in spell.iter().zip(&app.recovery_codes) {
        let challenge = challenge(&service).await;
        let typed = spell(code);
        let answer = answer(&service, &challenge, "recovery_code", &typed).await;
        assert_eq!(answer.status, StatusCode::OK, "{typed:?} {:?}", answer.body);
    }
}

#[tokio::test]
async fn a_malformed_code_does_not_count_as_an_attempt() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let challenge = challenge(&service).await;
    let recovery = &app.recovery_codes[0];
    for _ in 0..4 {
        for (method, typed, expected) in [
            ("totp", "", "six digits"),
            ("totp", "12345", "six digits"),
            ("totp", recovery, "six digits"),
            ("sms", "123 4567", "six digits"), // chapter: sms
            ("recovery_code", "123456", "32"),
            ("recovery_code", &recovery[1..], "32"),
            ("recovery_code", &recovery.replace('-', "\u{0}"), "32"),
        ] {
            let answer = answer(&service, &challenge, method, typed).await;
            assert_malformed(&answer, expected);
        }
        let body = json!({ "current_password": "wrong", "method": "totp", "code": "12345" });
        let path = "/auth/second-factor/remove";
        assert_malformed(
            &service.post_as(&app.tokens, path, &body).await,
            "six digits",
        );
    }
    let tries = "SELECT count(*) FROM login_challenges WHERE tries > 0";
    let tried: i64 = sqlx::query_scalar(tries)
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(tried, 0);
    answer(&service, &challenge, "totp", &app.code())
        .await
        .tokens();
}
