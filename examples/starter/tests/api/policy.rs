//! The policy for new passwords.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::web::Web;
use crate::support::{Answer, Service, started};

async fn register(service: &Service, email: &str, password: &str) -> Answer {
    let account = json!({ "email": email, "password": password });
    service.post("/auth/register", &account).await
}

fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
    assert_eq!(answer.code(), "invalid_password");
    assert_eq!(answer.json()["reason"], reason, "{:?}", answer.body);
}

/// Returns unrelated characters.
fn mixed(first: char, step: u32, count: u32) -> String {
    let code = |n: u32| u32::from(first) + n * step % 61;
    (0..count).filter_map(|n| char::from_u32(code(n))).collect()
}

/// NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V6.2.1, V6.2.8 and V6.2.9.
#[tokio::test]
async fn length_is_counted_in_code_points_without_truncation() {
    let service = started!();
    let (short, just) = (mixed('à', 17, 14), mixed('à', 17, 15));
    assert_refused(&register(&service, "a@b.c", &short).await, "too_short");
    assert_refused(&register(&service, "a@b.c", "").await, "too_short");
    let longest: String = (0..)
        .map(|n: u32| mixed('!', 17 + n, 16))
        .take(64)
        .collect();
    assert_eq!(longest.len(), 1024);
    let long = format!("{longest}x");
    assert_refused(&register(&service, "a@b.c", &long).await, "too_long");

    let emoji = mixed('😀', 17, 64);
    assert_eq!(emoji.chars().count(), 64);
    let spaces = "  white space counts, and is kept  ";
    for (number, good) in [just.as_str(), &longest, &emoji, spaces].iter().enumerate() {
        let email = format!("user{number}@example.com");
        let answer = register(&service, &email, good).await;
        assert_eq!(
            answer.status,
            StatusCode::ACCEPTED,
            "{good} {:?}",
            answer.body
        );
        service.login(&email, good).await.tokens();
        let mut cut = (*good).to_owned();
        cut.pop();
        for wrong in [cut.as_str(), good.trim(), &good.to_uppercase()] {
            if wrong != *good {
                let answer = service.login(&email, wrong).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
            }
        }
    }
}

/// A Mac sends an accent as a character of its own (NFD), and Windows does not (NFC). The password is the
/// same for each rule and at each step (NIST SP 800-63B-4 section 3.1.1.2).
#[tokio::test]
async fn a_password_is_the_same_in_every_unicode_form() {
    let service = started!();
    // Fourteen characters, whose other form has sixteen code points.
    let short = "zxq\u{fc}vrj\u{eb}wkpmtd";
    let decompose = |text: &str| {
        text.replace('\u{fc}', "u\u{308}")
            .replace('\u{eb}', "e\u{308}")
    };
    assert_eq!(decompose(short).chars().count(), 16);
    for form in [short.to_owned(), decompose(short)] {
        assert_refused(&register(&service, "a@b.c", &form).await, "too_short");
    }
    // A common password, or one made of the address, is refused in both forms.
    for form in [
        "M\u{fc}llerm\u{fc}ller7493",
        "Mu\u{308}llermu\u{308}ller7493",
    ] {
        let answer = register(&service, "ada@m\u{fc}ller.example", form).await;
        assert_refused(&answer, "too_common");
    }

    let composed = format!("{short}hs");
    let decomposed = decompose(&composed);
    let email = "ada@example.com";
    let registered = register(&service, email, &decomposed).await;
    assert_eq!(registered.status, StatusCode::ACCEPTED);
    service.login(email, &composed).await.tokens();
    let tokens = service.login(email, &decomposed).await.tokens();

    let next = format!("{composed}fb");
    let body = json!({ "current_password": composed, "new_password": decompose(&next) });
    let path = "/auth/password/change";
    let changed = service.post_as(&tokens, path, &body).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    service.login(email, &next).await.tokens();

    service.letter(email, 2).await;
    service
        .post("/auth/password/forgot", &json!({ "email": email }))
        .await;
    let token = service.letter(email, 3).await.token("reset-password");
    let body = json!({ "token": token, "new_password": decomposed });
    let reset = service.post("/auth/password/reset", &body).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{:?}", reset.body);
    service.login(email, &composed).await.tokens();

    // The length limit applies to the form that is hashed.
    let longest: String = (0..)
        .map(|n: u32| mixed('!', 17 + n, 15) + "\u{fc}")
        .take(60)
        .collect();
    assert!(longest.len() <= 1024 && decompose(&longest).len() > 1024);
    let answer = register(&service, "eve@example.com", &decompose(&longest)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
    service.login("eve@example.com", &longest).await.tokens();
}

/// The list is asked for the SHA-1 of the composed form only.
#[tokio::test]
async fn a_breached_password_is_refused_in_every_unicode_form() {
    let web = Web::start().await;
    let url = web.url();
    let service = started!(with | settings | settings.new_passwords.breached_url = Some(url));
    web.answers(StatusCode::OK, "");
    let mut asked = Vec::new();
    for (number, form) in [
        "cr\u{e8}me br\u{fb}l\u{e9}e s'il vous",
        "cre\u{300}me bru\u{302}le\u{301}e s'il vous",
    ]
    .iter()
    .enumerate()
    {
        let answer = register(&service, &format!("user{number}@example.com"), form).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
        asked.push(web.asked().pop().unwrap().path);
    }
    assert_eq!(asked[0], asked[1]);
}

/// A long password would keep the strength estimate busy, so only its beginning is measured.
#[tokio::test]
async fn only_the_first_64_characters_make_a_password_strong() {
    let service = started!();
    let strong = mixed('\u{e0}', 17, 40);
    let weak = "a".repeat(64);
    let answer = register(&service, "ada@example.com", &format!("{weak}{strong}")).await;
    assert_refused(&answer, "too_common");
    let answer = register(&service, "ada@example.com", &format!("{strong}{weak}")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
}

/// NIST SP 800-63B-4 section 3.1.1.2 forbids composition rules.
#[tokio::test]
async fn there_are_no_composition_rules() {
    let service = started!();
    for (number, good) in [
        "nothing but small letters",
        "NOTHING BUT LARGE LETTERS",
        "928347561029384",
        "quixotic?zebra!fjord",
    ]
    .iter()
    .enumerate()
    {
        let answer = register(&service, &format!("user{number}@b.c"), good).await;
        assert_eq!(
            answer.status,
            StatusCode::ACCEPTED,
            "{good} {:?}",
            answer.body
        );
    }
}

/// NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V6.2.4.
#[tokio::test]
async fn passwords_that_are_easy_to_guess_are_refused() {
    let service = started!();
    for common in [
        "passwordpassword",
        "Password12345678",
        "123456789012345",
        "qwertyuiopasdfgh",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
    ] {
        let answer = register(&service, "a@b.c", common).await;
        assert_refused(&answer, "too_common");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("a few unrelated words"), "{detail}");
        assert!(!detail.contains(common));
    }
}

/// OWASP ASVS 5.0 V6.1.2 and V6.2.11.
#[tokio::test]
async fn passwords_made_of_the_address_or_service_name_are_refused() {
    let words = ["umbrellacorp".to_owned(), "zyzzyva".to_owned()];
    let service = started!(with | settings | settings.new_passwords.context_words = words.to_vec());
    for (email, password) in [
        (
            "wilhelmina.oxenstierna@example.com",
            "wilhelmina.oxenstierna",
        ),
        (
            "wilhelmina.oxenstierna@example.com",
            "wilhelmina.oxenstierna@example.com",
        ),
        ("wilhelmina.oxenstierna@example.com", "Oxenstierna2026!"),
        ("a@b.c", "umbrellacorp2026"),
        ("a@b.c", "ZyzzyvaUmbrellacorp"),
    ] {
        assert_refused(&register(&service, email, password).await, "too_common");
    }
}

#[tokio::test]
async fn a_reset_and_a_change_have_the_same_rules() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    let body = json!({ "email": "ada@example.com" });
    service.post("/auth/password/forgot", &body).await;
    let letter = service.letter("ada@example.com", 2).await;
    let body = json!({
        "token": letter.token("reset-password"),
        "new_password": "Password12345678",
    });
    assert_refused(
        &service.post("/auth/password/reset", &body).await,
        "too_common",
    );
    let body = json!({
        "current_password": crate::support::PASSWORD,
        "new_password": "Password12345678",
    });
    let change = service
        .post_as(&tokens, "/auth/password/change", &body)
        .await;
    assert_refused(&change, "too_common");
}

/// OWASP ASVS 5.0 V6.2.12. The SHA-1 of "correct horse battery staple" is
/// ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42.
#[tokio::test]
async fn checking_a_breached_password_sends_only_five_digits() {
    let web = Web::start().await;
    let url = web.url();
    let service = started!(with | settings | settings.new_passwords.breached_url = Some(url));
    let known = "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n\
                 AD6438836DBE526AA231ABDE2D0EEF74D42:217\r\n";
    web.answers(StatusCode::OK, known);
    let answer = service.register("ada@example.com").await;
    assert_refused(&answer, "breached");
    let asked = web.asked().pop().unwrap();
    assert_eq!(asked.path, "/range/ABF7A");
    assert_eq!(asked.headers["add-padding"], "true");
    assert_eq!(asked.body, "");

    // Padding is not a match.
    web.answers(StatusCode::OK, &known.replace(":217", ":0"));
    let answer = service.register("ada@example.com").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_outage_of_the_breach_list_refuses_nobody() {
    let web = Web::start().await;
    let url = web.url();
    let service = started!(with | settings | settings.new_passwords.breached_url = Some(url));
    let large = "x".repeat(2 * 1024 * 1024);
    for (number, (status, body)) in [
        (StatusCode::SERVICE_UNAVAILABLE, ""),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "AD6438836DBE526AA231ABDE2D0EEF74D42:217",
        ),
        (StatusCode::OK, "nonsense"),
        (StatusCode::OK, large.as_str()),
        (StatusCode::FOUND, ""),
    ]
    .into_iter()
    .enumerate()
    {
        web.answers(status, body);
        let answer = service.register(&format!("user{number}@example.com")).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{status}");
    }

    // This server accepts connections, and never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let service = started!(with | settings | settings.new_passwords.breached_url = Some(url));
    let answer = service.register("ada@example.com").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}
