//! Invalid callbacks and ID tokens.

use std::time::UNIX_EPOCH;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Providers, assert_bad, assert_refused, with};
use crate::support::social_login::Visitor;
use crate::support::{Service, started};

async fn change(service: &Service, change: &'static str) {
    let mut database = service.database().await;
    sqlx::query(change).execute(&mut database).await.unwrap();
}

#[tokio::test]
async fn a_callback_works_once() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let cookies = visitor.cookies.clone();
    let returned = providers.one.approves(&asked);
    let page = visitor.returns_to_page("one", &returned).await;
    assert_eq!(page, "/#logged-in=one");
    // The callback is repeated by the same browser, and by whoever has its cookie.
    let again = visitor.returns("one", &returned).await;
    assert_bad(&again, "login_over");
    visitor.cookies = cookies;
    let again = visitor.returns("one", &returned).await;
    assert_bad(&again, "login_over");
    let page = visitor.returns_to_page("one", &returned).await;
    assert_eq!(page, "/#login-failed=login_over.one");
    // Of many at once, one succeeds.
    let asked = visitor.begins("one").await;
    let returned = providers.one.approves(&asked);
    let cookies = visitor.cookies.clone();
    let same = || {
        let mut visitor = Visitor::of(&service);
        visitor.cookies.clone_from(&cookies);
        visitor
    };
    let (mut a, mut b, mut c, mut d) = (same(), same(), same(), same());
    let answers = tokio::join!(
        a.returns("one", &returned),
        b.returns("one", &returned),
        c.returns("one", &returned),
        d.returns("one", &returned),
    );
    let answers = [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.status);
    let good = answers
        .iter()
        .filter(|status| **status == StatusCode::SEE_OTHER);
    assert_eq!(good.count(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_callback_works_only_in_the_browser_that_began() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let returned = providers.one.approves(&asked);
    // An attacker sends their own login to another browser, without a cookie and with one of its own.
    let mut victim = Visitor::of(&service);
    let answer = victim.returns("one", &returned).await;
    assert_bad(&answer, "login_over");
    victim.begins("one").await;
    let cookies = victim.cookies.clone();
    let answer = victim.returns("one", &returned).await;
    assert_bad(&answer, "login_over");
    assert_eq!(victim.cookies, cookies, "its own login continues");
    // Missing, invented and repeated parameters are refused as well.
    for changed in [
        with(&returned, "state", ""),
        with(&returned, "state", "made-up"),
        with(&returned, "state", "a\0b"),
        [&returned[..], &returned[..]].concat(),
    ] {
        let answer = visitor.returns("one", &changed).await;
        assert_bad(&answer, "login_over");
    }
    // None of that has ended the login.
    let answer = visitor.returns("one", &returned).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_login_expires_within_minutes() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    change(
        &service,
        "UPDATE provider_logins_begun SET expires_at = expires_at - 601",
    )
    .await;
    let returned = providers.one.approves(&asked);
    let answer = visitor.returns("one", &returned).await;
    assert_bad(&answer, "login_over");
    let asked = visitor.begins("one").await;
    visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    change(
        &service,
        "UPDATE provider_logins_proved SET expires_at = expires_at - 121",
    )
    .await;
    let answer = visitor.finishes("one").await;
    assert_bad(&answer, "login_over");
    // A time that only a wrong clock can have written does not count.
    let asked = visitor.begins("one").await;
    change(
        &service,
        "UPDATE provider_logins_begun SET expires_at = expires_at + 100000",
    )
    .await;
    let answer = visitor
        .returns("one", &providers.one.approves(&asked))
        .await;
    assert_bad(&answer, "login_over");
}

/// RFC 9207, and RFC 9700 section 4.4.
#[tokio::test]
async fn a_response_of_another_provider_is_refused() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    for (path, issuer) in [
        ("two", providers.one.issuer()),
        ("two", providers.two.issuer()),
        ("one", providers.two.issuer()),
        ("one", format!("{}/", providers.one.issuer())),
        ("one", String::new()), // it has announced that it names itself
    ] {
        let asked = visitor.begins("one").await;
        let returned = with(&providers.one.approves(&asked), "iss", &issuer);
        let answer = visitor.returns(path, &returned).await;
        assert_bad(&answer, "wrong_provider");
        assert!(visitor.cookies.is_empty());
    }
    // An error of another provider is refused as well.
    let asked = visitor.begins("one").await;
    let mut returned = with(&providers.one.approves(&asked), "code", "");
    returned = with(&returned, "iss", &providers.two.issuer());
    returned.push(("error", "access_denied".to_owned()));
    let answer = visitor.returns("one", &returned).await;
    assert_bad(&answer, "wrong_provider");
    // A code of one provider does not work at the other.
    let asked = visitor.begins("one").await;
    let foreign = providers.one.approves(&asked);
    let asked = visitor.begins("two").await;
    let mixed = with(&providers.two.approves(&asked), "code", &foreign[0].1);
    let answer = visitor.returns("two", &mixed).await;
    assert_bad(&answer, "login_not_confirmed");
}

/// A provider that does not name itself, and has not announced that, is identified by its redirect URI.
#[tokio::test]
async fn an_issuer_without_rfc_9207_need_not_name_itself() {
    let providers = Providers::start().await;
    let name = "authorization_response_iss_parameter_supported";
    providers.one.told().metadata = vec![(name, json!(false))];
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let returned = with(&providers.one.approves(&asked), "iss", "");
    assert_eq!(
        visitor.returns_to_page("one", &returned).await,
        "/#logged-in=one"
    );
    let asked = visitor.begins("one").await;
    let returned = with(
        &providers.one.approves(&asked),
        "iss",
        &providers.two.issuer(),
    );
    assert_bad(&visitor.returns("one", &returned).await, "wrong_provider");
}

#[tokio::test]
async fn a_user_who_cancels_at_the_provider_is_not_logged_in() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    for (error, status, code) in [
        ("access_denied", StatusCode::FORBIDDEN, "login_denied"),
        ("consent_required", StatusCode::FORBIDDEN, "login_denied"),
        (
            "invalid_scope",
            StatusCode::BAD_REQUEST,
            "login_not_confirmed",
        ),
        ("<script>", StatusCode::BAD_REQUEST, "login_not_confirmed"),
        ("", StatusCode::BAD_REQUEST, "login_not_confirmed"),
    ] {
        let asked = visitor.begins("one").await;
        let mut returned = with(&providers.one.approves(&asked), "code", "");
        returned.push(("error", error.to_owned()));
        let answer = visitor.returns("one", &returned).await;
        assert_refused(&answer, status, code);
        assert!(!answer.text().contains("script"));
        let late = visitor.finishes("one").await;
        assert_bad(&late, "login_over");
    }
    assert_eq!(service.app.users().count().await.unwrap(), 0);
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_login_is_refused() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut visitor = Visitor::of(&service);
    for (claim, value) in [
        ("nonce", json!("of another login")),
        ("nonce", Value::Null),
        ("nonce", json!("")),
        ("aud", json!("another client")),
        ("aud", json!(["the service", "another client"])),
        ("aud", Value::Null),
        ("azp", json!("another client")),
        ("iss", json!(providers.two.issuer())),
        ("iss", Value::Null),
        ("exp", json!(now - 3600)),
        ("exp", Value::Null),
        ("iat", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("sub", json!("a\0b")),
        ("sub", json!(1)),
        ("token_use", json!("access")),
    ] {
        providers.one.told().claims = vec![(claim, value.clone())];
        let answer = visitor.logs_in("one", &providers.one).await;
        assert_bad(&answer, "login_not_confirmed");
        assert!(visitor.cookies.is_empty(), "{claim}: {value}");
    }
    providers.one.recovers();
    providers.one.told().is_forged = true;
    let answer = visitor.logs_in("one", &providers.one).await;
    assert_bad(&answer, "login_not_confirmed");
    assert_eq!(service.app.users().count().await.unwrap(), 0);

    providers.one.recovers();
    providers.one.told().claims = vec![
        ("azp", json!("the service")),
        ("aud", json!(["the service"])),
    ];
    let session = visitor.logs_in("one", &providers.one).await;
    visitor.tokens(&session);
}

/// The code belongs to another login of the same user at the same provider (RFC 9700 section 4.5).
#[tokio::test]
async fn a_stolen_code_is_useless_in_another_login() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut victim = Visitor::of(&service);
    let asked = victim.begins("one").await;
    let stolen = providers.one.approves(&asked);
    let mut thief = Visitor::of(&service);
    let asked = thief.begins("one").await;
    let own = providers.one.approves(&asked);
    let injected = with(&own, "code", &stolen[0].1);
    assert_bad(
        &thief.returns("one", &injected).await,
        "login_not_confirmed",
    );
}

#[tokio::test]
async fn claims_about_somebody_else_are_refused() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    providers.one.told().is_in_token = false;
    let mut visitor = Visitor::of(&service);
    let eve = json!({ "sub": "66", "email": "eve@example.com", "email_verified": true });
    providers.one.answers("/userinfo", 200, eve);
    let answer = visitor.logs_in("one", &providers.one).await;
    assert_bad(&answer, "login_not_confirmed");
    providers.one.recovers();
    let session = visitor.logs_in("one", &providers.one).await;
    let tokens = visitor.tokens(&session);
    assert_eq!(tokens.claims()["email"], super::EMAIL);
}

#[tokio::test]
async fn the_number_of_logins_a_client_begins_is_limited() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    for _ in 0..100 {
        visitor.begins("one").await;
    }
    let answer = visitor.goes("/auth/login/one", false).await;
    assert_refused(&answer, StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    let page = visitor.goes("/auth/login/two", true).await;
    assert_eq!(
        page.header("location"),
        "/#login-failed=too_many_requests.two"
    );
}
