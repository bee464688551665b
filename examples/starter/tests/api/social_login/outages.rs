//! An unavailable provider refuses nobody.

use axum::http::StatusCode;
use serde_json::json;

use super::{EMAIL, Providers};
use crate::support::social_login::Visitor;
use crate::support::started;

#[tokio::test]
async fn an_unavailable_provider_is_an_outage() {
    let providers = Providers::start().await;
    let service = started!(
        with | settings | {
            providers.configure(settings);
            settings.login_providers[1].issuer = "http://127.0.0.1:9".to_owned(); // nobody is there
        }
    );
    let mut visitor = Visitor::of(&service);
    visitor
        .goes("/auth/login/two", false)
        .await
        .assert_unavailable();
    let page = visitor.goes("/auth/login/two", true).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.header("location"), "/#login-failed=unavailable.two");
    assert!(visitor.cookies.is_empty());
    // The other provider still works.
    let session = visitor.logs_in("one", &providers.one).await;
    visitor.tokens(&session);
}

#[tokio::test]
async fn wrong_metadata_stops_a_login() {
    for (name, value) in [
        ("issuer", json!("https://another.example")),
        ("authorization_endpoint", json!("http://another.example/")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!("http://another.example/")),
        ("jwks_uri", json!(null)),
        ("code_challenge_methods_supported", json!(["plain"])),
    ] {
        let providers = Providers::start().await;
        providers.one.told().metadata = vec![(name, value)];
        let service = started!(with | settings | providers.configure(settings));
        let answer = Visitor::of(&service).goes("/auth/login/one", false).await;
        answer.assert_unavailable();
    }
}

#[tokio::test]
async fn an_outage_during_a_login_does_not_refuse_it() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    providers.one.told().is_in_token = false;
    let mut visitor = Visitor::of(&service);
    let error = |error: &str| json!({ "error": error });
    for (path, status, body) in [
        ("/token", 500, json!({})),
        ("/token", 503, error("temporarily_unavailable")),
        ("/token", 429, json!("slow down")),
        ("/token", 401, error("invalid_client")), // for us to correct, and not for the user
        ("/token", 400, error("unauthorized_client")),
        ("/token", 302, json!({})),
        ("/token", 200, json!("what is this?")),
        ("/token", 200, json!({ "access_token": "but no ID token" })),
        ("/userinfo", 500, json!({})),
        ("/userinfo", 401, json!({})),
        ("/userinfo", 200, json!([])),
    ] {
        providers.one.answers(path, status, body.clone());
        let asked = visitor.begins("one").await;
        let returned = providers.one.approves(&asked);
        let answer = visitor.returns("one", &returned).await;
        answer.assert_unavailable();
        let asked = visitor.begins("one").await;
        let page = visitor
            .returns_to_page("one", &providers.one.approves(&asked))
            .await;
        assert_eq!(page, "/#login-failed=unavailable.one", "{path} {status}");
        providers.one.recovers();
    }
    for error in ["server_error", "temporarily_unavailable"] {
        let asked = visitor.begins("one").await;
        let mut returned = super::with(&providers.one.approves(&asked), "code", "");
        returned.push(("error", error.to_owned()));
        visitor.returns("one", &returned).await.assert_unavailable();
    }
    // A code that the provider does not know is refused.
    providers.one.answers("/token", 400, error("invalid_grant"));
    let answer = visitor.logs_in("one", &providers.one).await;
    super::assert_bad(&answer, "login_not_confirmed");

    providers.one.recovers();
    let session = visitor.logs_in("one", &providers.one).await;
    assert_eq!(visitor.tokens(&session).claims()["email"], EMAIL);
}

#[tokio::test]
async fn an_outage_of_the_provider_keys_does_not_refuse_a_login() {
    let providers = Providers::start().await;
    let service = started!(with | settings | providers.configure(settings));
    providers.one.answers("/jwks", 500, json!({}));
    let answer = Visitor::of(&service).logs_in("one", &providers.one).await;
    answer.assert_unavailable();
}

#[tokio::test]
async fn a_silent_provider_times_out_soon() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let providers = Providers::start().await;
    let endpoint = json!(format!("http://{address}/token"));
    providers.one.told().metadata = vec![("token_endpoint", endpoint)];
    let service = started!(with | settings | providers.configure(settings));
    let mut visitor = Visitor::of(&service);
    let answer = visitor.logs_in("one", &providers.one).await;
    answer.assert_unavailable();
    assert_eq!(answer.header("content-type"), "application/problem+json");
}
