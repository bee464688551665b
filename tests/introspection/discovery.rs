//! The endpoint from the issuer's metadata: it is read when it is needed, by the rules for keys.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::authority::{Authority, ISSUER, Mode, active_with, told, verdict};
use crate::outages::source;

#[tokio::test(start_paused = true)]
async fn the_metadata_is_read_once_and_not_before_a_token_comes() {
    let authority = Authority::new();
    authority.state().delay = Duration::from_millis(100);
    let judge = authority.discovered().build().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(authority.state().metadata_fetches, 0);
    let tokens: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
    join_all(tokens.iter().map(|token| told(&judge, token))).await;
    assert_eq!(told(&judge, "good").await, "ok");
    let fetches = authority.state().metadata_fetches;
    assert_eq!((fetches, authority.count()), (1, 51));
}

#[tokio::test(start_paused = true)]
async fn untrustworthy_metadata_is_a_503() {
    for (mode, expected) in [
        (
            Mode::OtherIssuer,
            "the metadata is of another issuer: expected `https://idp.example`",
        ),
        (
            Mode::Elsewhere,
            "call `allow_endpoint_at(origin)` if that is where the endpoint is",
        ),
        (
            Mode::NoEndpoint,
            "or lacks the string `introspection_endpoint`",
        ),
        (
            Mode::NoEndpoint,
            "give the URL of the endpoint to `Introspection::builder_at`",
        ),
        (
            Mode::Refuse,
            "there was no response (idp.example/.well-known/openid-configuration)",
        ),
        (Mode::Hang, "there was no response within 5 seconds"),
    ] {
        let authority = Authority::new();
        let judge = authority.discovered().build().unwrap();
        authority.set(mode);
        let error = verdict(&judge, "good").await.unwrap_err();
        assert_eq!(error.status(), 503);
        assert!(
            source(&error).contains(expected),
            "{mode:?}: {}",
            source(&error)
        );
        authority.set(Mode::Good);
        authority.clock.advance(Duration::from_secs(1));
        assert_eq!(told(&judge, "good").await, "ok");
        assert_eq!(authority.count(), 1, "no token went anywhere before");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_is_unavailable_is_not_fetched_by_each_request() {
    let authority = Authority::new();
    let judge = authority.discovered().build().unwrap();
    authority.set(Mode::NoEndpoint);
    authority.state().delay = Duration::from_millis(10);
    let tokens: Vec<String> = (0..300).map(|number| format!("t{number}")).collect();
    for told in join_all(tokens.iter().map(|token| told(&judge, token))).await {
        assert_eq!(told, "503 unavailable");
    }
    let fetches = authority.state().metadata_fetches;
    assert!(fetches <= 6, "two addresses, three times: {fetches}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_at_another_origin_is_used_if_that_is_allowed() {
    let authority = Authority::new();
    authority.set(Mode::Elsewhere);
    let allowed = authority
        .discovered()
        .allow_endpoint_at("https://api.example");
    assert_eq!(told(&allowed.build().unwrap(), "good").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_has_moved_is_found_again() {
    let authority = Authority::new();
    let judge = authority
        .discovered()
        .cache_for(Duration::ZERO)
        .build()
        .unwrap();
    assert_eq!(told(&judge, "good").await, "ok");
    authority.set(Mode::Moved);
    assert_eq!(told(&judge, "good").await, "503 unavailable");
    assert_eq!(told(&judge, "good").await, "ok");
    assert_eq!(authority.state().metadata_fetches, 2);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_of_an_answer_is_the_one_of_the_metadata() {
    let authority = Authority::new();
    let judge = authority.discovered().build().unwrap();
    authority.says("other", active_with(json!({"iss": "https://idp.example/"})));
    authority.says("none", active_with(json!({"iss": null})));
    assert_eq!(told(&judge, "other").await, "401 issuer_differs_by_slash");
    let token = verdict(&judge, "none").await.unwrap();
    assert_eq!(token.issuer(), Some(ISSUER));
}
