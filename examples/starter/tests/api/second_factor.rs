//! Codes of authenticator apps, and recovery codes.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::factor::{App, answer, code, codes, forget_step};
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";

async fn challenge(service: &Service) -> String {
    service.login(EMAIL, PASSWORD).await.challenge()
}

fn assert_invalid_code(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{:?}", answer.body);
    assert_eq!(answer.code(), "invalid_code");
}

fn assert_over(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{:?}", answer.body);
    assert_eq!(answer.code(), "invalid_challenge");
}

async fn change(service: &Service, change: &'static str) {
    sqlx::query(change)
        .execute(&mut service.database().await)
        .await
        .unwrap();
}

/// OWASP ASVS 5.0 V6.3.7, V7.4.3 and V7.5.1.
#[tokio::test]
async fn an_app_is_on_once_a_code_has_confirmed_it() {
    let service = started!();
    let tokens = service.user(EMAIL).await;
    let other = service.login(EMAIL, PASSWORD).await.tokens();
    let add = "/auth/second-factor/totp";
    let wrong = json!({ "current_password": "wrong" });
    let wrong = service.post_as(&tokens, add, &wrong).await;
    assert_eq!(wrong.code(), "wrong_password");

    let body = json!({ "current_password": PASSWORD });
    let first = service.post_as(&tokens, add, &body).await.json();
    let enrolment = service.post_as(&tokens, add, &body).await.json();
    let secret = enrolment["secret"].as_str().unwrap();
    assert_ne!(first["secret"], enrolment["secret"]);
    assert_eq!(secret.len(), 32, "160 bits");
    let name = env!("CARGO_PKG_NAME");
    let uri = format!("otpauth://totp/{name}:ada%40example.com?secret={secret}&issuer={name}");
    assert_eq!(enrolment["otpauth_uri"], uri);
    // A login does not ask for a code yet.
    service.login(EMAIL, PASSWORD).await.tokens();
    let status = service.get("/auth/second-factor", &tokens.access).await;
    assert_eq!(
        status.json(),
        json!({ "methods": [], "recovery_codes_left": 0 })
    );

    let confirm = "/auth/second-factor/totp/confirm";
    let body = json!({ "code": code(first["secret"].as_str().unwrap()) });
    assert_invalid_code(&service.post_as(&tokens, confirm, &body).await);
    let body = json!({ "code": code(secret) });
    let added = service.post_as(&tokens, confirm, &body).await;
    assert_eq!(added.status, StatusCode::OK);
    let recovery = codes(&added.json());
    assert_eq!(recovery.len(), 10);
    assert!(recovery.iter().all(|code| code.len() == 35));
    service.assert_over(&other).await;
    let tokens = service.refresh(&tokens.refresh).await.tokens();
    let letter = service.letter(EMAIL, 2).await;
    assert!(letter.head.contains("Your second factor was changed"));

    let again = json!({ "current_password": PASSWORD });
    let again = service.post_as(&tokens, add, &again).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.code(), "second_factor_exists");
    let status = service
        .get("/auth/second-factor", &tokens.access)
        .await
        .json();
    assert_eq!(status["methods"], json!(["totp", "recovery_code"]));
    assert_eq!(status["recovery_codes_left"], 10);
}

#[tokio::test]
async fn a_login_takes_two_steps_and_the_token_says_how() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let first = service.login(EMAIL, PASSWORD).await;
    let json = first.json();
    assert_eq!(json["methods"], json!(["totp", "recovery_code"]));
    assert_eq!(json["expires_in"], 300);
    let challenge = first.challenge();
    assert_eq!(challenge.len(), 43, "256 bits");
    // The challenge is not an access token.
    service.get("/me", &challenge).await.assert_invalid_token();
    service.refresh(&challenge).await.assert_invalid_grant();
    let body = json!({ "token": challenge, "new_password": PASSWORD });
    let reset = service.post("/auth/password/reset", &body).await;
    assert_eq!(reset.code(), "invalid_link");

    let wrong = answer(&service, &challenge, "totp", &app.wrong_code()).await;
    assert_invalid_code(&wrong);
    let tokens = answer(&service, &challenge, "totp", &app.code())
        .await
        .tokens();
    service.get("/me", &tokens.access).await.json();
    let claims = tokens.claims();
    assert_eq!(claims["amr"], json!(["pwd", "otp", "mfa"]));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!((now - 60..=now).contains(&claims["auth_time"].as_u64().unwrap()));
    let next = service.refresh(&tokens.refresh).await.tokens().claims();
    assert_eq!(next["amr"], claims["amr"]);
    assert_eq!(next["auth_time"], claims["auth_time"]);

    let alone = service.user("eve@example.com").await.claims();
    assert_eq!(alone["amr"], json!(["pwd"]));
}

/// OWASP ASVS 5.0 V6.5.1; RFC 6238 section 5.2.
#[tokio::test(flavor = "multi_thread")]
async fn codes_and_challenges_work_once() {
    let service = std::sync::Arc::new(started!());
    let app = App::of(&service, EMAIL).await;
    let used = challenge(&service).await;
    let code = app.code();
    answer(&service, &used, "totp", &code).await.tokens();
    assert_over(&answer(&service, &used, "totp", &code).await);
    let second = challenge(&service).await;
    assert_invalid_code(&answer(&service, &second, "totp", &code).await);

    // Of eight logins at once with the same code, each with its own challenge, one succeeds.
    for (method, code) in [
        ("totp", None),
        ("recovery_code", Some(&app.recovery_codes[3])),
    ] {
        forget_step(&service).await;
        change(&service, "DELETE FROM login_failures").await;
        let code = code.cloned().unwrap_or_else(|| app.code());
        let mut racers = Vec::new();
        for _ in 0..8 {
            let challenge = challenge(&service).await;
            let (service, code) = (service.clone(), code.clone());
            racers.push(tokio::spawn(async move {
                answer(&service, &challenge, method, &code).await.status
            }));
        }
        let mut passed = 0;
        for racer in racers {
            passed += u32::from(racer.await.unwrap() == StatusCode::OK);
        }
        assert_eq!(passed, 1, "{method}");
    }
}

#[tokio::test]
async fn a_recovery_code_replaces_a_lost_phone_once() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let one = &app.recovery_codes[0];
    let first = challenge(&service).await;
    // As a person might type it.
    let typed = format!(" {} ", one.to_uppercase());
    let tokens = answer(&service, &first, "recovery_code", &typed)
        .await
        .tokens();
    let second = challenge(&service).await;
    assert_invalid_code(&answer(&service, &second, "recovery_code", one).await);
    let status = service.get("/auth/second-factor", &tokens.access).await;
    assert_eq!(status.json()["recovery_codes_left"], 9);

    // Whoever reads only the database cannot make codes.
    let sealed: String = sqlx::query_scalar("SELECT secret FROM second_factors")
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert!(
        sealed.starts_with("1.") && !sealed.contains(app.secret()),
        "{sealed}"
    );

    let kept: Vec<String> = sqlx::query_scalar("SELECT digest FROM recovery_codes")
        .fetch_all(&mut service.database().await)
        .await
        .unwrap();
    assert!(app.recovery_codes.iter().all(|code| !kept.contains(code)));
}

/// OWASP ASVS 5.0 V6.6.3; NIST SP 800-63B-4 section 3.2.2.
#[tokio::test]
async fn a_challenge_allows_five_codes_and_an_address_ten() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    for _ in 0..2 {
        let challenge = challenge(&service).await;
        for _ in 0..5 {
            let wrong = answer(&service, &challenge, "totp", &app.wrong_code()).await;
            assert_invalid_code(&wrong);
        }
        let late = answer(&service, &challenge, "totp", &app.code()).await;
        assert_over(&late);
    }
    let third = challenge(&service).await;
    let answer = answer(&service, &third, "totp", &app.code()).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_challenge_ends_with_time_or_a_change_of_the_account() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    for death in [
        "UPDATE login_challenges SET expires_at = 0",
        "UPDATE users SET password_hash = password_hash || 'x'",
        "UPDATE users SET disabled = TRUE",
    ] {
        let challenge = challenge(&service).await;
        change(&service, death).await;
        assert_over(&answer(&service, &challenge, "totp", &app.code()).await);
        if death.contains("hash") {
            let undo = "UPDATE users SET password_hash = \
                        substr(password_hash, 1, length(password_hash) - 1)";
            change(&service, undo).await;
        }
    }
    for made_up in ["", "x", &"A".repeat(43)] {
        assert_over(&answer(&service, made_up, "totp", &app.code()).await);
    }
}

async fn reset(service: &Service, letters: usize, password: &str) -> Answer {
    service.letter(EMAIL, letters).await;
    service
        .post("/auth/password/forgot", &json!({ "email": EMAIL }))
        .await;
    let letter = service.letter(EMAIL, letters + 1).await;
    let token = letter.token("reset-password");
    let body = json!({ "token": token, "new_password": password });
    service.post("/auth/password/reset", &body).await
}

/// OWASP ASVS 5.0 V6.4.3. With a second factor, eight characters are enough (NIST SP 800-63B-4 section
/// 3.1.1.2).
#[tokio::test]
async fn a_password_reset_does_not_bypass_the_second_factor() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let short = reset(&service, 2, "qv7#Lx2").await;
    assert_eq!(short.json()["reason"], "too_short");
    let eight = "qv7#Lx2!";
    let done = reset(&service, 3, eight).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{:?}", done.body);
    service.assert_over(&app.tokens).await;
    let challenge = service.login(EMAIL, eight).await.challenge();
    let tokens = answer(&service, &challenge, "totp", &app.code())
        .await
        .tokens();

    // Without the factor this password would be too short.
    forget_step(&service).await;
    let remove = remove(&service, &tokens, eight, &app.code()).await;
    assert_eq!(remove.json()["reason"], "too_short");
}

async fn remove(service: &Service, tokens: &Tokens, password: &str, code: &str) -> Answer {
    let body = json!({ "current_password": password, "method": "totp", "code": code });
    service
        .post_as(tokens, "/auth/second-factor/remove", &body)
        .await
}

#[tokio::test]
async fn removing_factors_needs_the_password_and_a_code() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let answer = remove(&service, &app.tokens, "wrong", &app.code()).await;
    assert_eq!(answer.code(), "wrong_password");
    let answer = remove(&service, &app.tokens, PASSWORD, &app.wrong_code()).await;
    assert_invalid_code(&answer);
    service.login(EMAIL, PASSWORD).await.challenge();

    let answer = remove(&service, &app.tokens, PASSWORD, &app.code()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.login(EMAIL, PASSWORD).await.tokens();
    let path = "/auth/second-factor";
    let status = service.get(path, &app.tokens.access).await.json();
    assert_eq!(status, json!({ "methods": [], "recovery_codes_left": 0 }));
}

/// The new key is added while the old one still opens, and then the old one is removed.
#[tokio::test]
async fn a_new_sealing_key_replaces_the_old_one() {
    const NEW: &str = "2:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=";
    const OLD: &str = "1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let mut place = service.stop().await;
    for keys in [format!("{NEW} {OLD}"), NEW.to_owned()] {
        let service = Service::start_with(place, |settings| {
            settings.sealing = service::SealingKeys::parse(&keys).unwrap();
        })
        .await;
        let challenge = challenge(&service).await;
        answer(&service, &challenge, "totp", &app.code())
            .await
            .tokens();
        forget_step(&service).await;
        place = service.stop().await;
    }
    // Without the key, an error must not look like a wrong code.
    let service = Service::start_in(place).await;
    let challenge = challenge(&service).await;
    let lost = answer(&service, &challenge, "totp", &app.code()).await;
    assert_eq!(lost.status, StatusCode::INTERNAL_SERVER_ERROR);
}

// chapter: admin {
#[tokio::test]
async fn an_admin_removes_factors_for_users_who_lost_them() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    service.register("root@example.com").await;
    let root = service::Email::parse("root@example.com").unwrap();
    service.app.users().grant(&root, "admin").await.unwrap();
    let root = service.login("root@example.com", PASSWORD).await.tokens();
    let me = service.get("/me", &app.tokens.access).await.json();
    let path = format!("/admin/users/{}/second-factor", me["sub"].as_str().unwrap());
    let method = axum::http::Method::DELETE;
    let own = service
        .send(method.clone(), &path, &app.tokens.access)
        .await;
    assert_eq!(own.status, StatusCode::FORBIDDEN);

    let removed = service.send(method, &path, &root.access).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    service.assert_over(&app.tokens).await;
    service.login(EMAIL, PASSWORD).await.tokens();
    let letter = service.letter(EMAIL, 3).await;
    assert!(letter.head.contains("Your second factor was changed"));
}
// chapter: admin }

#[tokio::test]
async fn adding_and_removing_factors_needs_a_token() {
    let service = started!();
    let body = json!({
        "current_password": PASSWORD, "code": "000000", "method": "totp", "phone": "+491511234567",
    });
    for path in ["totp", "totp/confirm", "sms", "sms/confirm", "remove"] {
        let path = format!("/auth/second-factor/{path}");
        let answer = service.post(&path, &body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
