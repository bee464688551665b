//! GitHub, which does not speak OpenID Connect.

use axum::http::StatusCode;
use serde_json::json;

use super::{EMAIL, assert_bad, assert_refused};
use crate::support::social_login::{StandIn, Visitor};
use crate::support::started;

#[tokio::test]
async fn a_github_login_is_identified_by_its_numeric_id() {
    let github = StandIn::start().await;
    let service = started!(with | settings | settings.login_providers = vec![github.as_github()]);
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("github").await;
    assert_eq!(asked.path(), "/login/oauth/authorize");
    let query = asked.query().unwrap();
    assert!(query.contains("scope=user%3Aemail"), "{query}");
    assert!(!query.contains("nonce"), "{query}");
    // The response does not name its issuer.
    let returned = super::with(&github.approves(&asked), "iss", "");
    assert_eq!(
        visitor.returns_to_page("github", &returned).await,
        "/#logged-in=github"
    );
    let session = visitor.finishes("github").await;
    let tokens = visitor.tokens(&session);
    assert_eq!(tokens.claims()["email"], EMAIL);
    github.is_for("1", "ada@elsewhere.example", false);
    let session = visitor.logs_in("github", &github).await;
    let again = visitor.tokens(&session);
    assert_eq!(again.claims()["sub"], tokens.claims()["sub"]);
    github.is_for("2", "bob@example.com", true);
    let session = visitor.logs_in("github", &github).await;
    let bob = visitor.tokens(&session);
    assert_ne!(bob.claims()["sub"], tokens.claims()["sub"]);
}

#[tokio::test]
async fn an_unverified_github_address_opens_no_account() {
    let github = StandIn::start().await;
    let service = started!(with | settings | settings.login_providers = vec![github.as_github()]);
    let tokens = service.proved_user(EMAIL).await;
    github.is_for("1", EMAIL, false);
    let mut visitor = Visitor::of(&service);
    let answer = visitor.logs_in("github", &github).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "address_not_verified");
    service.assert_good(&tokens).await;
}

#[tokio::test]
async fn refusals_of_github_are_distinguished_from_outages() {
    let github = StandIn::start().await;
    let service = started!(with | settings | settings.login_providers = vec![github.as_github()]);
    let mut visitor = Visitor::of(&service);
    // A code that was used, or belongs to another login.
    let asked = visitor.begins("github").await;
    let returned = super::with(&github.approves(&asked), "code", "made up");
    assert_bad(
        &visitor.returns("github", &returned).await,
        "login_not_confirmed",
    );
    let asked = visitor.begins("github").await;
    let mut returned = super::with(&github.approves(&asked), "code", "");
    returned.push(("error", "access_denied".to_owned()));
    let answer = visitor.returns("github", &returned).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "login_denied");
    let asked = visitor.begins("github").await;
    let returned = super::with(&github.approves(&asked), "iss", "https://evil.example");
    assert_bad(
        &visitor.returns("github", &returned).await,
        "wrong_provider",
    );
    for (path, status, body) in [
        ("/login/oauth/access_token", 500, json!({})),
        (
            "/login/oauth/access_token",
            200,
            json!({ "error": "incorrect_client_credentials" }),
        ),
        ("/login/oauth/access_token", 200, json!({})),
        ("/api/v3/user", 503, json!({})),
        ("/api/v3/user", 401, json!({ "message": "Bad credentials" })),
        ("/api/v3/user", 200, json!({ "login": "ada" })),
        ("/api/v3/user/emails", 403, json!({})),
    ] {
        github.answers(path, status, body);
        visitor
            .logs_in("github", &github)
            .await
            .assert_unavailable();
        github.recovers();
    }
    let session = visitor.logs_in("github", &github).await;
    visitor.tokens(&session);
}
