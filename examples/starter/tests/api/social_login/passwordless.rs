//! Accounts without a password.

use axum::http::StatusCode;
use serde_json::json;

use super::{EMAIL, Providers, assert_refused};
use crate::support::factor::App; // chapter: second-factor
use crate::support::social_login::Visitor;
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const LONG_AGO: i64 = 1_000_000_000;

async fn set(service: &Service, tokens: &Tokens, password: &str) -> Answer {
    let body = json!({ "new_password": password });
    service.post_as(tokens, "/auth/password/set", &body).await
}

fn assert_too_old(answer: &Answer) {
    let code = "insufficient_user_authentication";
    assert_refused(answer, StatusCode::UNAUTHORIZED, code);
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains(r#"max_age="600""#), "{challenge}");
}

#[tokio::test]
async fn a_password_is_set_with_a_recent_login() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    // The provider recognizes the browser, and does not ask for the password.
    providers.one.told().claims = vec![("auth_time", json!(LONG_AGO))];
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let old = visitor.tokens(&session);
    assert_eq!(old.claims()["auth_time"], LONG_AGO);
    assert_too_old(&set(&service, &old, PASSWORD).await);
    assert_too_old(&visitor.links(&old, "two", "").await);
    // chapter: second-factor {
    let body = json!({ "current_password": "" });
    let answer = service
        .post_as(&old, "/auth/second-factor/totp", &body)
        .await;
    assert_too_old(&answer);
    // chapter: second-factor }

    // Asked for a fresh login, the provider asks for the password again.
    let asked = visitor.begins_at("/auth/login/one?fresh=true").await;
    let query = asked.query().unwrap();
    assert!(
        query.contains("prompt=login") && query.contains("max_age=0"),
        "{query}"
    );
    providers.one.recovers();
    visitor
        .returns_to_page("one", &providers.one.approves(&asked))
        .await;
    let session = visitor.finishes("one").await;
    let new = visitor.tokens(&session);
    let answer = set(&service, &new, "short").await;
    assert_refused(
        &answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_password",
    );
    let answer = set(&service, &new, PASSWORD).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    service.assert_over(&old).await;
    let letter = service.letter(EMAIL, 2).await;
    assert!(letter.head.contains("Your password was changed"));
    service.login(EMAIL, PASSWORD).await.tokens();
    // From now on the password proves who the user is.
    let answer = set(&service, &new, PASSWORD).await;
    assert_refused(&answer, StatusCode::CONFLICT, "password_exists");
    let answer = visitor.links(&new, "two", "").await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "wrong_password");
}

// chapter: second-factor {
#[tokio::test]
async fn a_second_factor_is_removed_by_a_recent_login_and_a_code() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let app = App::add(&service, visitor.tokens(&session)).await;
    let body = json!({ "current_password": "", "method": "totp", "code": app.code() });
    let path = "/auth/second-factor/remove";
    let removed = service.post_as(&app.tokens, path, &body).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{:?}", removed.body);
}
// chapter: second-factor }

#[tokio::test]
async fn a_password_is_set_by_the_link_in_an_email() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let tokens = visitor.tokens(&session);
    service.letter(EMAIL, 1).await;
    let body = json!({ "email": EMAIL });
    service.post("/auth/password/forgot", &body).await;
    let link = service.letter(EMAIL, 2).await.token("reset-password");
    let body = json!({ "token": link, "new_password": PASSWORD });
    let reset = service.post("/auth/password/reset", &body).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{:?}", reset.body);
    service.assert_over(&tokens).await;
    let login = service.login(EMAIL, PASSWORD).await.tokens();
    assert_eq!(login.claims()["sub"], tokens.claims()["sub"]);
    let session = visitor.logs_in("one", &providers.one).await;
    visitor.tokens(&session);
}

#[tokio::test]
async fn the_last_way_to_log_in_cannot_be_unlinked() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("one", &providers.one).await;
    let tokens = visitor.tokens(&session);
    let unlink = async |provider: &str, password: &str| {
        let path = format!("/auth/logins/{provider}/remove");
        let body = json!({ "current_password": password });
        service.post_as(&tokens, &path, &body).await
    };
    let last = unlink("one", "").await;
    assert_refused(&last, StatusCode::CONFLICT, "last_login");
    // Another login is another way to log in. Of two that are unlinked at once, one stays.
    let session = visitor.logs_in("two", &providers.two).await;
    visitor.tokens(&session);
    let (one, two) = tokio::join!(unlink("one", ""), unlink("two", ""));
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::NO_CONTENT, StatusCode::CONFLICT]);
    let left = if one.status == StatusCode::CONFLICT {
        "one"
    } else {
        "two"
    };
    assert_refused(&unlink(left, "").await, StatusCode::CONFLICT, "last_login");
    let answer = set(&service, &tokens, PASSWORD).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    let unlinked = unlink(left, PASSWORD).await;
    assert_eq!(
        unlinked.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        unlinked.body
    );
}

/// A provider that was removed from the configuration opens nothing.
#[tokio::test]
async fn a_removed_provider_does_not_count_as_a_way_to_log_in() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    for (provider, at) in [("one", &providers.one), ("two", &providers.two)] {
        let session = visitor.logs_in(provider, at).await;
        visitor.tokens(&session);
    }
    let place = service.stop().await;
    let service = Service::start_with(place, |settings| {
        settings.login_providers = vec![providers.two.settings("two")];
    })
    .await;
    let mut visitor = Visitor::of(&service);
    let session = visitor.logs_in("two", &providers.two).await;
    let tokens = visitor.tokens(&session);
    let path = "/auth/logins/two/remove";
    let last = service.post_as(&tokens, path, &json!({})).await;
    assert_refused(&last, StatusCode::CONFLICT, "last_login");
    let gone = visitor.goes("/auth/login/one", false).await;
    assert_refused(&gone, StatusCode::NOT_FOUND, "not_found");
}
