//! What `build` refuses, and that no output shows a secret.

use std::time::Duration;

use tower_jwt_auth::credential::{Introspection, IntrospectionBuilder};

use crate::authority::{Authority, ENDPOINT, Mode, verdict};

fn refused(builder: IntrospectionBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

fn with_secret(endpoint: &str) -> IntrospectionBuilder {
    Introspection::builder_at(endpoint)
        .client_secret_basic("api", "s3cret")
        .audience("api")
}

#[test]
fn build_errors_say_what_is_wrong_and_what_to_do() {
    let plain = || Introspection::builder_at(ENDPOINT);
    for (builder, expected) in [
        (
            plain().audience("api"),
            "call `client_secret_basic`, `client_secret_post` or",
        ),
        (
            with_secret(ENDPOINT).bearer_token("t"),
            "has several credentials of this service: call only one of",
        ),
        (
            with_secret(ENDPOINT).client_secret_post("api", "s3cret"),
            "has several credentials of this service",
        ),
        (
            plain().client_secret_basic("", "s"),
            "the client id for introspection is empty",
        ),
        (
            plain().client_secret_post("api", ""),
            "the client secret for introspection is empty",
        ),
        (plain().bearer_token("a\n"), "is a line break at its end?"),
        (
            plain().client_secret_basic("api", "s"),
            "call `.audience(..)`",
        ),
        (
            with_secret("http://idp.example/introspect"),
            "must be https, but is plain http",
        ),
        (
            with_secret("http://127.0.0.1:9/x"),
            "call `allow_loopback()`",
        ),
        (
            with_secret("https://10.0.0.1/x"),
            "call `allow_private_network()`",
        ),
        (with_secret("introspect"), "is not an absolute https URL"),
        (
            with_secret(ENDPOINT).cache_for(Duration::from_secs(3601)),
            "`cache_for` is 3601 seconds",
        ),
        (
            with_secret(ENDPOINT).leeway(Duration::from_secs(301)),
            "at most 300 seconds",
        ),
        (
            with_secret(ENDPOINT).issuer(" x"),
            "begins or ends with white space",
        ),
        (
            Introspection::builder("https://idp.example?x=1")
                .client_secret_basic("api", "s")
                .audience("api"),
            "has a query, which an issuer never has",
        ),
    ] {
        let told = refused(builder);
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn no_debug_output_and_no_error_shows_a_secret_or_a_token() {
    let authority = Authority::new();
    let builders = [
        authority.builder(),
        Introspection::builder_at(ENDPOINT).client_secret_post("reports-api", "s3cret"),
        Introspection::builder_at(ENDPOINT).bearer_token("s3cret"),
    ];
    for builder in &builders {
        assert!(!format!("{builder:?}").contains("s3cret"), "{builder:?}");
    }
    let judge = authority.introspection();
    for mode in [Mode::Refuse, Mode::Status(500), Mode::Panic] {
        authority.set(mode);
        let error = verdict(&judge, "tok3n").await.unwrap_err();
        let shown = format!("{error:?} {error} {judge:?}");
        assert!(
            !shown.contains("tok3n") && !shown.contains("s3cret"),
            "{shown}"
        );
        authority.clock.advance(Duration::from_secs(15));
    }
}

#[test]
fn each_reason_of_introspection_is_in_the_guide() {
    let page = include_str!("../../src/guide/why_401.md");
    for reason in [
        "token_not_active",
        "not_a_bearer_token",
        "not_an_access_token",
        "bound_token",
    ] {
        assert!(page.contains(&format!("`{reason}`")), "{reason}");
    }
}
