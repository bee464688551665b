//! Logout tokens as providers write them, and why none is accepted as an access token.

use serde_json::{Value, json};
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::verifier::{CredentialKind, TokenProfile};
use tower_jwt_auth::{AuthErrorKind, JwtAuthLayer};

use super::{CLIENT, EVENT, Node, access_tokens, logout_claims, logout_token, logout_tokens, post};
use crate::support::{NOW, bearer, send, signed};

#[tokio::test]
async fn every_form_that_the_specification_allows_is_accepted() {
    let headed = |header: &str| signed(header, logout_claims(json!({})));
    for (name, token) in [
        ("as recommended", logout_token(json!({}))),
        (
            "typ with its prefix",
            headed(r#"{"alg":"HS256","typ":"application/logout+jwt"}"#),
        ),
        (
            "typ in capitals",
            headed(r#"{"alg":"HS256","typ":"LOGOUT+JWT"}"#),
        ),
        ("typ JWT", headed(r#"{"alg":"HS256","typ":"JWT"}"#)),
        ("no typ", headed(r#"{"alg":"HS256"}"#)),
        (
            "a list of one audience",
            logout_token(json!({"aud": [CLIENT]})),
        ),
        ("sid alone", logout_token(json!({"sub": null, "sid": "s1"}))),
        ("sub and sid", logout_token(json!({"sid": "s1"}))),
        (
            "an event with members",
            logout_token(json!({"events": {EVENT: {"a": [1, {"b": null}]}}})),
        ),
        (
            "several events",
            logout_token(json!({"events": {"https://x.example/e": 1, EVENT: {}}})),
        ),
        (
            "claims that are not understood",
            logout_token(json!({"typ": "Logout", "x": {"y": []}})),
        ),
        (
            "iat within the leeway",
            logout_token(json!({"iat": NOW + 30})),
        ),
        (
            "exp within the leeway",
            logout_token(json!({"iat": NOW - 100, "exp": NOW - 29})),
        ),
        (
            "a fraction of a second",
            logout_token(json!({"iat": NOW as f64 - 0.5})),
        ),
    ] {
        let node = Node::new();
        let answer = post(&node.logout, &token).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert!(!node.store.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn no_profile_takes_a_logout_token_for_an_access_token() {
    let node = Node::new();
    let claims = |typ: &str, changes: Value| {
        signed(
            format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#),
            logout_claims(changes),
        )
    };
    for profile in [
        TokenProfile::Own,
        TokenProfile::Rfc9068,
        TokenProfile::Compatible,
        TokenProfile::IdToken,
    ] {
        let verifier = access_tokens(&node.clock).audience(CLIENT).profile(profile);
        let verifier = verifier.build().unwrap();
        for typ in ["logout+jwt", "JWT", "at+jwt"] {
            let token = claims(typ, json!({"client_id": CLIENT, "type": null}));
            let refused = verifier.verify_local(&token).unwrap_err();
            assert_eq!(
                refused.kind(),
                AuthErrorKind::WrongType,
                "{profile:?} {typ}"
            );
        }
    }
}

/// A store that never has an answer without waiting.
#[derive(Debug)]
struct Asked;

impl RevocationStore for Asked {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        Ok(false)
    }
}

#[tokio::test]
async fn a_layer_lets_no_logout_token_through_whatever_its_verifier() {
    let node = Node::new();
    let token = logout_token(json!({}));
    let at_once = logout_tokens(&node.clock).build().unwrap();
    let verified = at_once.verify_local(&token).unwrap();
    assert_eq!(verified.kind(), CredentialKind::LogoutToken);
    let waits = logout_tokens(&node.clock)
        .revocation(Asked)
        .build()
        .unwrap();
    for verifier in [at_once, waits] {
        let layer = JwtAuthLayer::new(verifier);
        let seen = send(&layer, bearer(&token)).await;
        let refused = r#"401 Bearer realm="api", error="invalid_token""#;
        assert_eq!(seen.verdict(), refused);
    }
}
