//! What people copy from a screen, as they type and paste it.

use axum::http::Method; // chapter: admin
use axum::http::StatusCode;
use serde_json::json;

use crate::support::factor::{App, answer, code, forget_step}; // chapter: second-factor
use crate::support::{Answer, PASSWORD, Service, started};

const EMAIL: &str = "ada@example.com";

// chapter: second-factor {
/// The same six digits as apps show them, and as keyboards write them.
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
    // Full-width, Arabic, Persian, Devanagari.
    all.extend(['\u{ff10}', '\u{660}', '\u{6f0}', '\u{966}'].map(digits));
    all
}
// chapter: second-factor {
// chapter: second-factor }

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
// chapter: second-factor {
// chapter: second-factor }

async fn challenge(service: &Service) -> String {
    service.login(EMAIL, PASSWORD).await.challenge()
}
// chapter: second-factor {
// chapter: second-factor }

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
// chapter: second-factor {
// chapter: second-factor }

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
// chapter: second-factor {
// chapter: second-factor }

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
        // These letters are in no code: somebody read a digit as one.
        &|code| code.replace('0', "O").replace('1', "l"),
    ];
    for (spell, code) in spell.iter().zip(&app.recovery_codes) {
        let challenge = challenge(&service).await;
        let typed = spell(code);
        let answer = answer(&service, &challenge, "recovery_code", &typed).await;
        assert_eq!(answer.status, StatusCode::OK, "{typed:?} {:?}", answer.body);
    }
}
// chapter: second-factor {
// chapter: second-factor }

#[tokio::test]
async fn what_cannot_be_a_code_costs_no_try() {
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
// chapter: sms {
// chapter: second-factor }

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
        // Five codes may be sent to a new number within a quarter of an hour.
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
// chapter: sms }

#[tokio::test]
async fn an_email_address_is_the_same_however_it_is_pasted() {
    let service = started!();
    service.user("ada@zo\u{eb}.example").await;
    for typed in [
        " ada@zo\u{eb}.example\n",
        "\u{a0}ADA@ZO\u{cb}.Example\u{200b}",
        "ada@zoe\u{308}.example",
        "\u{202a}ada\u{ff20}zo\u{eb}.example\u{202c}",
        "mailto:ada@zo\u{eb}.example",
        "<ada@zo\u{eb}.example>",
    ] {
        service.login(typed, PASSWORD).await.tokens();
    }
}

#[tokio::test]
async fn what_is_no_email_address_is_said_everywhere() {
    let service = started!();
    for (path, body) in [
        (
            "/auth/register",
            json!({ "email": "ada", "password": PASSWORD }),
        ),
        (
            "/auth/login",
            json!({ "email": "ada", "password": PASSWORD }),
        ),
        ("/auth/password/forgot", json!({ "email": "ada@" })),
    ] {
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer.code(), "invalid_email", "{path}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("name@example.com"), "{detail}");
    }
}

#[tokio::test]
async fn a_token_of_a_link_may_be_pasted_with_white_space() {
    let service = started!();
    service.register(EMAIL).await;
    let letter = service.letter(EMAIL, 1).await;
    let token = letter.token("confirm-email");
    let (first, last) = token.split_at(20);
    let body = json!({ "token": format!(" {first}\r\n {last}\u{a0}") });
    let confirmed = service.post("/auth/email/verify", &body).await;
    assert_eq!(
        confirmed.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        confirmed.body
    );

    let tokens = service.login(EMAIL, PASSWORD).await.tokens();
    let tokens = service
        .refresh(&format!(" {}\n", tokens.refresh))
        .await
        .tokens();
    service.logout_by(&format!("{}\n", tokens.refresh)).await;
    service.assert_over(&tokens).await;
}

// chapter: admin {
/// PostgreSQL takes no NUL in a text, and no id leads to another folder of the storage: what cannot be an id is
/// nobody's.
#[tokio::test]
async fn what_cannot_be_an_id_is_not_found() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let user = service::Email::parse(EMAIL).unwrap();
    service.app.users().grant(&user, "admin").await.unwrap();
    let admin = service.login(EMAIL, PASSWORD).await.tokens();
    let long = "x".repeat(4000);
    let elsewhere = [
        "%2e%2e",
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "..%5C..",
    ];
    let unreadable = ["%00", "a%00b", "%FF", "%20", "%0A", "caf%C3%A9", &long];
    for id in elsewhere.into_iter().chain(unreadable) {
        for (method, path) in [
            (Method::GET, format!("/users/{id}/avatar")), // chapter: avatars
            (Method::POST, format!("/admin/users/{id}/disable")),
            (Method::POST, format!("/admin/users/{id}/enable")),
            (Method::PUT, format!("/admin/users/{id}/scopes")),
            (Method::POST, format!("/admin/users/{id}/logout")),
            (Method::POST, format!("/admin/users/{id}/password-reset")),
            (Method::DELETE, format!("/admin/users/{id}/second-factor")), // chapter: second-factor
            (Method::DELETE, format!("/auth/sessions/{id}")),
        ] {
            let body = json!({ "scopes": [] });
            let answer = service.send_json(method, &path, &admin.access, &body).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{path} {:?}",
                answer.body
            );
            assert_eq!(answer.code(), "not_found", "{path}");
            // chapter: avatars {
            let none = service
                .send(Method::GET, "/users/%00/avatar", "garbage")
                .await;
            none.assert_invalid_token();
            // chapter: avatars }
        }
    }
    // A place in the list of users is no id, but goes to the database as well.
    let list = service.get("/admin/users?after=%00", &admin.access).await;
    assert_eq!(list.status, StatusCode::NOT_FOUND);
    service.assert_good(&ada).await;
}
// chapter: admin }
