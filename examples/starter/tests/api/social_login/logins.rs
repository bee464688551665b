//! Which account a login opens.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{EMAIL, Providers, assert_bad, assert_refused};
use crate::support::factor::{self, App}; // chapter: second-factor
use crate::support::social_login::Visitor;
use crate::support::{PASSWORD, Service, claims, started};

/// Returns the id of the user with this access token.
async fn who(service: &Service, access: &str) -> Value {
    let answer = service.get("/me", access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_first_login_makes_an_account_without_a_password() {
    let providers = Providers::start().await;
    let service = started!(
        with | settings | {
            providers.configure(settings);
            settings.require_verified_email = true;
        }
    );
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let query: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
    let said = |name: &str| {
        let mut found = query.iter().filter(|(its, _)| its == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} occurs more than once");
        value
    };
    assert_eq!(
        said("theme"),
        Some("dark"),
        "parameters of the endpoint are kept"
    );
    assert_eq!(said("response_type"), Some("code"));
    assert_eq!(said("scope"), Some("openid email"));
    let redirect_uri = "https://app.test/auth/login/one/callback";
    assert_eq!(said("redirect_uri"), Some(redirect_uri));
    assert_eq!(said("prompt"), None);
    for random in ["state", "nonce", "code_challenge"] {
        assert_eq!(said(random).unwrap().len(), 43, "256 bits");
    }
    let returned = providers.one.approves(&asked);
    let page = visitor.returns_to_page("one", &returned).await;
    assert_eq!(page, "/#logged-in=one");
    let session = visitor.finishes("one").await;
    let tokens = visitor.tokens(&session);
    assert!(!visitor.cookies.contains_key("__Host-login"));

    let me = who(&service, &tokens.access).await;
    assert_eq!(me["email"], EMAIL);
    let said = claims(&tokens.access);
    assert_eq!(said["amr"], json!(["fed"]));
    assert_eq!(said["email_verified"], true);
    let letter = service.letter(EMAIL, 1).await;
    assert!(letter.head.contains("A login was linked to your account"));
    assert!(letter.text.contains("Provider one"), "{}", letter.text);
    for password in ["", "!", PASSWORD] {
        let login = service.login(EMAIL, password).await;
        assert_eq!(login.code(), "invalid_credentials");
    }

    // The next login opens the same account, whatever its address is by then.
    providers.one.is_for("1", "ada@elsewhere.example", false);
    let mut elsewhere = Visitor::of(&service);
    let again = elsewhere.logs_in("one", &providers.one).await;
    let again = elsewhere.tokens(&again);
    assert_eq!(who(&service, &again.access).await["sub"], me["sub"]);
    service.letter(EMAIL, 1).await;
    service.assert_good(&again).await;
}

#[tokio::test]
async fn an_address_proved_on_both_sides_opens_the_same_account() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let id = who(&service, &tokens.access).await["sub"].clone();
    providers.one.is_for("1", "ADA@example.com", true);
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let session = visitor.tokens(&session);
    assert_eq!(who(&service, &session.access).await["sub"], id);
    let letter = service.letter(EMAIL, 2).await;
    assert!(letter.head.contains("A login was linked to your account"));
    // Nothing else has changed.
    service.assert_good(&tokens).await;
    service.login(EMAIL, PASSWORD).await.tokens();
    // Another provider is another login of the same account.
    let session = visitor.logs_in("two", &providers.two).await;
    let session = visitor.tokens(&session);
    assert_eq!(who(&service, &session.access).await["sub"], id);
}

/// Anybody can register any address, so what was set up before a proof does not belong to its owner.
#[tokio::test]
async fn an_unproved_account_is_replaced_by_the_owners_login() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let intruder = service.user(EMAIL).await;
    let id = who(&service, &intruder.access).await["sub"].clone();
    // The intruder links a login of their own as well.
    providers.two.is_for("66", "eve@example.com", true);
    let mut eve = Visitor::of(&service);
    let begun = eve.links(&intruder, "two", PASSWORD).await.json();
    let asked = begun["location"].as_str().unwrap().parse().unwrap();
    let linked = eve
        .returns_to_page("two", &providers.two.approves(&asked))
        .await;
    assert_eq!(linked, "/#linked=two");

    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let owner = visitor.tokens(&session);
    assert_ne!(who(&service, &owner.access).await["sub"], id);
    service.assert_over(&intruder).await;
    let login = service.login(EMAIL, PASSWORD).await;
    assert_eq!(login.status, StatusCode::UNAUTHORIZED);
    // That login opens an account of its own.
    let session = eve.logs_in("two", &providers.two).await;
    let eves = eve.tokens(&session);
    let me = who(&service, &eves.access).await;
    assert_eq!(me["email"], "eve@example.com");
}

#[tokio::test]
async fn an_unverified_address_opens_no_account() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let users = service.app.users().count().await.unwrap();
    for user in [
        json!({ "sub": "1", "email": EMAIL, "email_verified": false }),
        json!({ "sub": "1", "email": EMAIL, "email_verified": "false" }),
        json!({ "sub": "1", "email": EMAIL }),
        json!({ "sub": "1", "email_verified": true }),
        json!({ "sub": "1", "email": "nobody", "email_verified": true }),
        json!({ "sub": "1", "email": "eve@example.com", "email_verified": false }),
    ] {
        providers.one.told().user = user.clone();
        let mut visitor = Visitor::of(&service);
        let answer = visitor.logs_in("one", &providers.one).await;
        assert_refused(&answer, StatusCode::FORBIDDEN, "address_not_verified");
        assert!(visitor.cookies.is_empty(), "{user}");
    }
    assert_eq!(service.app.users().count().await.unwrap(), users);
    service.assert_good(&tokens).await;
}

// chapter: second-factor {
#[tokio::test]
async fn provider_logins_ask_for_the_second_factor_too() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let app = App::of(&service, EMAIL).await;
    let mut visitor = Visitor::of(&service);
    let answer = visitor.logs_in("one", &providers.one).await;
    let challenge = answer.challenge();
    assert_eq!(answer.json()["methods"], json!(["totp", "recovery_code"]));
    assert!(!visitor.cookies.contains_key("__Host-refresh"));
    let wrong = factor::answer(&service, &challenge, "totp", &app.wrong_code()).await;
    assert_refused(&wrong, StatusCode::FORBIDDEN, "invalid_code");
    let right = factor::answer(&service, &challenge, "totp", &app.code()).await;
    assert_eq!(right.tokens().claims()["amr"], json!(["fed", "otp", "mfa"]));
    // With a password, the claim says `pwd`.
    factor::forget_step(&service).await;
    let challenge = service.login(EMAIL, PASSWORD).await.challenge();
    let right = factor::answer(&service, &challenge, "totp", &app.code()).await;
    assert_eq!(right.tokens().claims()["amr"], json!(["pwd", "otp", "mfa"]));
}
// chapter: second-factor }

#[tokio::test]
async fn a_disabled_user_cannot_log_in_at_a_provider() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    visitor.tokens(&session);
    let disable = "UPDATE users SET disabled = TRUE";
    let mut database = service.database().await;
    // A change between the provider and the page.
    let asked = visitor.begins("one").await;
    let page = visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    assert_eq!(page, "/#logged-in=one");
    sqlx::query(disable).execute(&mut database).await.unwrap();
    let late = visitor.finishes("one").await;
    assert_refused(&late, StatusCode::FORBIDDEN, "account_unavailable");
    // Both by the linked login and by the address.
    for (provider, at) in [("one", &providers.one), ("two", &providers.two)] {
        let answer = Visitor::of(&service).logs_in(provider, at).await;
        assert_refused(&answer, StatusCode::FORBIDDEN, "account_unavailable");
    }
}

#[tokio::test]
async fn a_change_of_the_account_during_a_login_voids_it() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    let page = visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    assert_eq!(page, "/#logged-in=one");
    let body =
        json!({ "current_password": PASSWORD, "new_password": "another horse, another battery" });
    let changed = service
        .post_as(&tokens, "/auth/password/change", &body)
        .await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
    let late = visitor.finishes("one").await;
    assert_refused(&late, StatusCode::FORBIDDEN, "account_unavailable");
    assert!(!visitor.cookies.contains_key("__Host-refresh"));
}

#[tokio::test]
async fn an_account_with_an_unconfirmed_address_stays_closed() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.user("bob@example.com").await;
    let mut visitor = Visitor::of(&service);
    let begun = visitor.links(&tokens, "one", PASSWORD).await.json();
    let asked = begun["location"].as_str().unwrap().parse().unwrap();
    let page = visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    assert_eq!(page, "/#linked=one");
    let place = service.stop().await;
    let service = Service::start_with(place, |settings| {
        providers.configure(settings);
        settings.require_verified_email = true;
    })
    .await;
    let answer = Visitor::of(&service).logs_in("one", &providers.one).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "email_not_confirmed");
}

#[tokio::test]
async fn only_the_page_in_the_same_browser_gets_the_session() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("one").await;
    visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    let cookie = format!("__Host-login={}", visitor.cookies["__Host-login"]);
    let own = format!("http://{}", service.address());
    let path = "/auth/login/one/finish";
    let page = [("cookie", cookie.as_str()), ("token-transport", "cookie")];
    for (headers, status, code) in [
        (vec![page[0]], StatusCode::BAD_REQUEST, "invalid_request"),
        (page.to_vec(), StatusCode::FORBIDDEN, "cross_origin"),
        (
            [&page[..], &[("origin", "https://evil.example")]].concat(),
            StatusCode::FORBIDDEN,
            "cross_origin",
        ),
        (
            vec![page[1], ("origin", own.as_str())],
            StatusCode::BAD_REQUEST,
            "login_over",
        ),
    ] {
        let answer = service.request(Method::POST, path, &headers, "").await;
        assert_refused(&answer, status, code);
    }
    let elsewhere = visitor.finishes("two").await;
    assert_bad(&elsewhere, "login_over");
    let session = visitor.finishes("one").await;
    visitor.tokens(&session);
    // The secret works once.
    let headers = [&page[..], &[("origin", own.as_str())]].concat();
    let again = service.request(Method::POST, path, &headers, "").await;
    assert_bad(&again, "login_over");
}

#[tokio::test]
async fn providers_are_listed_and_unknown_ones_are_not_found() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let listed = service
        .request(Method::GET, "/auth/providers", &[], "")
        .await;
    let expected = json!({ "providers": [
        { "id": "one", "name": "Provider one" }, { "id": "two", "name": "Provider two" },
    ] });
    assert_eq!(listed.json(), expected);
    for path in [
        "/auth/login/three",
        "/auth/login/three/callback",
        "/auth/login/%00",
    ] {
        let answer = service.request(Method::GET, path, &[], "").await;
        assert_refused(&answer, StatusCode::NOT_FOUND, "not_found");
    }
    let service = started!();
    let listed = service
        .request(Method::GET, "/auth/providers", &[], "")
        .await;
    assert_eq!(listed.json(), json!({ "providers": [] }));
}
