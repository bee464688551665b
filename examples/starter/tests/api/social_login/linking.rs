//! Linking logins to an account, and unlinking them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{EMAIL, Providers, assert_refused};
use crate::support::social_login::{StandIn, Visitor};
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

async fn linked(service: &Service, tokens: &Tokens) -> Vec<Value> {
    let answer = service.get("/auth/logins", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let json = answer.json();
    let logins = json["logins"].as_array().unwrap().iter();
    logins.map(|login| login["provider"].clone()).collect()
}

async fn unlink(service: &Service, tokens: &Tokens, provider: &str, password: &str) -> Answer {
    let path = format!("/auth/logins/{provider}/remove");
    let body = json!({ "current_password": password });
    service.post_as(tokens, &path, &body).await
}

/// Links a login, and returns where the browser ends up.
async fn link(visitor: &mut Visitor<'_>, tokens: &Tokens, provider: &str, at: &StandIn) -> String {
    let begun = visitor.links(tokens, provider, PASSWORD).await;
    assert_eq!(begun.status, StatusCode::OK, "{:?}", begun.body);
    let asked = begun.json()["location"].as_str().unwrap().parse().unwrap();
    visitor
        .returns_to_page(provider, &at.approves(&asked))
        .await
}

#[tokio::test]
async fn a_logged_in_user_links_a_login_with_any_address() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    providers
        .one
        .is_for("7", "somebody@elsewhere.example", false);
    let mut visitor = Visitor::of(&service);
    assert!(linked(&service, &tokens).await.is_empty());
    let wrong = visitor.links(&tokens, "one", "wrong").await;
    assert_refused(&wrong, StatusCode::FORBIDDEN, "wrong_password");
    assert!(visitor.cookies.is_empty());
    let page = link(&mut visitor, &tokens, "one", &providers.one).await;
    assert_eq!(page, "/#linked=one");
    assert!(visitor.cookies.is_empty(), "linking logs nobody in");
    let letter = service.letter(EMAIL, 2).await;
    assert!(letter.head.contains("A login was linked to your account"));
    assert_eq!(linked(&service, &tokens).await, ["one"]);
    // Linking it again changes nothing.
    let page = link(&mut visitor, &tokens, "one", &providers.one).await;
    assert_eq!(page, "/#linked=one");
    service.letter(EMAIL, 2).await;

    let session = visitor.logs_in("one", &providers.one).await;
    let session = visitor.tokens(&session);
    assert_eq!(session.claims()["sub"], tokens.claims()["sub"]);
    assert_eq!(session.claims()["email"], EMAIL);
    let answer = service.get("/auth/logins", &session.access).await.json();
    assert_eq!(answer["has_password"], true);
    assert!(
        answer["logins"][0]["used_at"].as_i64().is_some(),
        "{answer}"
    );
}

#[tokio::test]
async fn a_login_has_one_account_and_an_account_one_login_per_issuer() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let ada = service.proved_user(EMAIL).await;
    let bob = service.proved_user("bob@example.com").await;
    let mut visitor = Visitor::of(&service);
    assert_eq!(
        link(&mut visitor, &ada, "one", &providers.one).await,
        "/#linked=one"
    );
    let taken = link(&mut visitor, &bob, "one", &providers.one).await;
    assert_eq!(taken, "/#login-failed=login_taken.one");
    assert!(linked(&service, &bob).await.is_empty());
    // Another login at the same provider, linked by hand and by the address.
    providers.one.is_for("2", EMAIL, true);
    let other = link(&mut visitor, &ada, "one", &providers.one).await;
    assert_eq!(other, "/#login-failed=other_login.one");
    let answer = visitor.logs_in("one", &providers.one).await;
    assert_refused(&answer, StatusCode::CONFLICT, "other_login");
    assert_eq!(linked(&service, &ada).await, ["one"]);
}

#[tokio::test]
async fn a_login_is_not_linked_to_a_user_who_has_changed() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let mut visitor = Visitor::of(&service);
    let begun = visitor.links(&tokens, "one", PASSWORD).await.json();
    let asked = begun["location"].as_str().unwrap().parse().unwrap();
    // Somebody else knew the password, and the owner notices.
    let body =
        json!({ "current_password": PASSWORD, "new_password": "another horse, another battery" });
    let changed = service
        .post_as(&tokens, "/auth/password/change", &body)
        .await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
    let answer = visitor
        .returns("one", &providers.one.approves(&asked))
        .await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "account_unavailable");
    assert!(linked(&service, &tokens).await.is_empty());
}

#[tokio::test]
async fn linking_must_end_in_the_browser_where_it_began() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let mut visitor = Visitor::of(&service);
    let begun = visitor.links(&tokens, "one", PASSWORD).await.json();
    let asked = begun["location"].as_str().unwrap().parse().unwrap();
    let returned = providers.one.approves(&asked);
    let answer = Visitor::of(&service).returns("one", &returned).await;
    super::assert_bad(&answer, "login_over");
    assert!(linked(&service, &tokens).await.is_empty());
    assert_eq!(
        visitor.returns_to_page("one", &returned).await,
        "/#linked=one"
    );
}

/// A user may unlink a login because somebody else can use it.
#[tokio::test]
async fn an_unlinked_login_can_only_be_linked_again_by_its_user() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let tokens = service.proved_user(EMAIL).await;
    let mut thief = Visitor::of(&service);
    let session = thief.logs_in("one", &providers.one).await;
    let thief_tokens = thief.tokens(&session);
    // A login of the thief is under way.
    let asked = thief.begins("one").await;
    thief
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;

    let wrong = unlink(&service, &tokens, "one", "wrong").await;
    assert_refused(&wrong, StatusCode::FORBIDDEN, "wrong_password");
    let unlinked = unlink(&service, &tokens, "one", PASSWORD).await;
    assert_eq!(
        unlinked.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        unlinked.body
    );
    let letter = service.letter(EMAIL, 3).await;
    assert!(
        letter
            .head
            .contains("A login was unlinked from your account")
    );
    assert!(linked(&service, &tokens).await.is_empty());
    service.assert_over(&thief_tokens).await;
    let late = thief.finishes("one").await;
    assert_refused(&late, StatusCode::FORBIDDEN, "account_unavailable");
    // The address is still proved on both sides, but that is not enough any more.
    let answer = thief.logs_in("one", &providers.one).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "login_unlinked");
    providers.one.is_for("2", EMAIL, true);
    let answer = thief.logs_in("one", &providers.one).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "login_unlinked");
    let again = unlink(&service, &tokens, "one", PASSWORD).await;
    assert_refused(&again, StatusCode::NOT_FOUND, "not_found");

    // The owner links another login at that provider. Somebody else may still have the old one.
    let mut visitor = Visitor::of(&service);
    assert_eq!(
        link(&mut visitor, &tokens, "one", &providers.one).await,
        "/#linked=one"
    );
    let session = visitor.logs_in("one", &providers.one).await;
    assert_eq!(
        visitor.tokens(&session).claims()["sub"],
        tokens.claims()["sub"]
    );
    let bob = service.proved_user("bob@example.com").await;
    providers.one.is_for("1", EMAIL, true);
    assert_eq!(
        link(&mut visitor, &bob, "one", &providers.one).await,
        "/#linked=one"
    );
}

#[tokio::test]
async fn users_see_only_their_own_linked_logins() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let ada = service.proved_user(EMAIL).await;
    let bob = service.proved_user("bob@example.com").await;
    let mut visitor = Visitor::of(&service);
    link(&mut visitor, &ada, "one", &providers.one).await;
    let answer = unlink(&service, &bob, "one", PASSWORD).await;
    assert_refused(&answer, StatusCode::NOT_FOUND, "not_found");
    assert_eq!(linked(&service, &ada).await, ["one"]);
    for path in [
        "/auth/logins/one",
        "/auth/logins/one/remove",
        "/auth/password/set",
    ] {
        let answer = service.post(path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let answer = visitor.links(&ada, "three", PASSWORD).await;
    assert_refused(&answer, StatusCode::NOT_FOUND, "not_found");
}
