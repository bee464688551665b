//! From end to end with npm `oidc-provider`.

use axum::http::StatusCode;
use serde_json::json;
use service::Settings;

use super::{EMAIL, assert_bad, assert_refused, with};
use crate::support::social_login::{OidcProvider, Person, Visitor};
use crate::support::{PASSWORD, started};

fn start() -> Option<OidcProvider> {
    OidcProvider::start("https://app.test/auth/login/real/callback")
}

fn configure(settings: &mut Settings, provider: &OidcProvider) {
    settings.login_providers = vec![provider.settings()];
}

#[tokio::test]
async fn a_person_logs_in_at_a_real_provider() {
    let Some(mut provider) = start() else {
        return;
    };
    let service = started!(with | settings | configure(settings, &provider));
    let (mut person, mut visitor) = (Person::new(), Visitor::of(&service));
    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(EMAIL)).await;
    assert!(returned.iter().any(|(name, _)| *name == "iss"));
    let wrong = with(&returned, "iss", "https://idp.example");
    let page = visitor.returns_to_page("real", &returned).await;
    assert_eq!(page, "/#logged-in=real");
    let session = visitor.finishes("real").await;
    let tokens = visitor.tokens(&session);
    assert_eq!(tokens.claims()["email"], EMAIL);
    assert_bad(&visitor.returns("real", &wrong).await, "login_over");

    // The provider knows the person now, and the time of that login.
    let asked = visitor.begins("real").await;
    let (returned, is_shown) = person.answers(&asked, Some(EMAIL)).await;
    assert!(!is_shown);
    visitor.returns_to_page("real", &returned).await;
    let session = visitor.finishes("real").await;
    let again = visitor.tokens(&session);
    assert_eq!(again.claims()["sub"], tokens.claims()["sub"]);
    assert_eq!(again.claims()["auth_time"], tokens.claims()["auth_time"]);
    // Asked for a fresh login, it shows its form again.
    let asked = visitor.begins_at("/auth/login/real?fresh=true").await;
    let (returned, is_shown) = person.answers(&asked, Some(EMAIL)).await;
    assert!(is_shown);
    visitor.returns_to_page("real", &returned).await;
    let session = visitor.finishes("real").await;
    let fresh = visitor.tokens(&session);
    let body = json!({ "new_password": PASSWORD });
    let set = service.post_as(&fresh, "/auth/password/set", &body).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{:?}", set.body);
    service.login(EMAIL, PASSWORD).await.tokens();

    // A code that was used before is refused by the provider.
    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(EMAIL)).await;
    let mut other = Visitor::of(&service);
    let asked = other.begins("real").await;
    let (own, _) = person.answers(&asked, Some(EMAIL)).await;
    let stolen = with(&own, "code", &returned[0].1);
    assert_bad(&other.returns("real", &stolen).await, "login_not_confirmed");

    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(EMAIL)).await;
    provider.kill();
    visitor
        .returns("real", &returned)
        .await
        .assert_unavailable();
}

#[tokio::test]
async fn a_person_cancels_at_a_real_provider() {
    let Some(provider) = start() else {
        return;
    };
    let service = started!(with | settings | configure(settings, &provider));
    let mut visitor = Visitor::of(&service);
    let asked = visitor.begins("real").await;
    let (returned, _) = Person::new().answers(&asked, None).await;
    assert!(returned.iter().any(|(name, _)| *name == "error"));
    let answer = visitor.returns("real", &returned).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "login_denied");
    assert_eq!(service.app.users().count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_login_at_a_real_provider_is_linked_and_unlinked() {
    let Some(provider) = start() else {
        return;
    };
    let service = started!(with | settings | configure(settings, &provider));
    let tokens = service.proved_user(EMAIL).await;
    let (mut person, mut visitor) = (Person::new(), Visitor::of(&service));
    // An address that the provider has not verified proves nothing.
    let login = format!("unverified:{EMAIL}");
    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(&login)).await;
    let answer = visitor.returns("real", &returned).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "address_not_verified");
    // The user links it by hand.
    let begun = visitor.links(&tokens, "real", PASSWORD).await.json();
    let asked = begun["location"].as_str().unwrap().parse().unwrap();
    let (returned, _) = person.answers(&asked, Some(&login)).await;
    assert_eq!(
        visitor.returns_to_page("real", &returned).await,
        "/#linked=real"
    );
    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(&login)).await;
    visitor.returns_to_page("real", &returned).await;
    let session = visitor.finishes("real").await;
    let session = visitor.tokens(&session);
    assert_eq!(session.claims()["sub"], tokens.claims()["sub"]);
    let body = json!({ "current_password": PASSWORD });
    let path = "/auth/logins/real/remove";
    let unlinked = service.post_as(&tokens, path, &body).await;
    assert_eq!(
        unlinked.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        unlinked.body
    );
    service.assert_over(&session).await;
    let asked = visitor.begins("real").await;
    let (returned, _) = person.answers(&asked, Some(&login)).await;
    let answer = visitor.returns("real", &returned).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "login_unlinked");
}
