//! Each check of sections 2.4 and 2.6, broken on its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{CLIENT, EVENT, Node, access_token, logout_claims, logout_token, post};
use crate::support::{NOW, signed, signed_with};

const PAGE: &str = include_str!("../../../src/guide/why_401.md");
const HEADER: &str = r#"{"alg":"HS256","typ":"logout+jwt"}"#;

/// Tokens with one fault each: the name of the row, the token, and the reason.
fn broken() -> Vec<(&'static str, String, &'static str)> {
    let claims = |changes: Value| logout_token(changes);
    let headed = |header: &str| signed(header, logout_claims(json!({})));
    let good = logout_token(json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    let unsigned = |header: &str| {
        let header = URL_SAFE_NO_PAD.encode(header);
        format!(
            "{header}.{}.",
            URL_SAFE_NO_PAD.encode(logout_claims(json!({})))
        )
    };
    let twice = logout_claims(json!({}));
    let twice = format!(
        "{},\"events\":{{\"{EVENT}\":{{}}}}}}",
        &twice[..twice.len() - 1]
    );
    let events = |value: Value| claims(json!({"events": value}));
    vec![
        // Steps 1 to 3: form, signature, algorithm.
        ("garbage", "garbage".into(), "not_three_parts"),
        ("no signature", format!("{message}."), "invalid_signature"),
        (
            "signed by another key",
            signed_with(&[7; 48], HEADER, logout_claims(json!({}))),
            "invalid_signature",
        ),
        (
            "alg none",
            unsigned(r#"{"alg":"none"}"#),
            "unknown_algorithm",
        ),
        (
            "an algorithm of no key",
            headed(r#"{"alg":"RS256"}"#),
            "unsupported_algorithm",
        ),
        ("encrypted", "a.b.c.d.e".into(), "encrypted_token"),
        (
            "typ of an access token",
            headed(r#"{"alg":"HS256","typ":"at+jwt"}"#),
            "header_of_wrong_type",
        ),
        (
            "typ of a security event",
            headed(r#"{"alg":"HS256","typ":"secevent+jwt"}"#),
            "header_of_wrong_type",
        ),
        (
            "typ of a DPoP proof",
            headed(r#"{"alg":"HS256","typ":"dpop+jwt"}"#),
            "header_of_wrong_type",
        ),
        // Step 4: issuer, audience, times.
        ("no iss", claims(json!({"iss": null})), "issuer_missing"),
        (
            "another iss",
            claims(json!({"iss": "https://evil.example"})),
            "invalid_issuer",
        ),
        (
            "iss with a slash",
            claims(json!({"iss": "https://idp.example/"})),
            "issuer_differs_by_slash",
        ),
        ("no aud", claims(json!({"aud": null})), "audience_missing"),
        (
            "another client",
            claims(json!({"aud": "client-2"})),
            "invalid_audience",
        ),
        (
            "a client that is not trusted as well",
            claims(json!({"aud": [CLIENT, "client-2"]})),
            "invalid_audience",
        ),
        ("no iat", claims(json!({"iat": null})), "claim_missing"),
        (
            "iat is a text",
            claims(json!({"iat": "now"})),
            "malformed_date",
        ),
        (
            "iat in the future",
            claims(json!({"iat": NOW + 31})),
            "issued_in_the_future",
        ),
        ("no exp", claims(json!({"exp": null})), "no_expiry"),
        (
            "expired",
            claims(json!({"iat": NOW - 200, "exp": NOW - 30})),
            "expired",
        ),
        (
            "not valid yet",
            claims(json!({"nbf": NOW + 31})),
            "not_yet_valid",
        ),
        // Step 5: session and subject.
        (
            "neither sub nor sid",
            claims(json!({"sub": null})),
            "logout_of_nobody",
        ),
        (
            "an empty sub and no sid",
            claims(json!({"sub": ""})),
            "logout_of_nobody",
        ),
        (
            "both are empty",
            claims(json!({"sub": "", "sid": ""})),
            "logout_of_nobody",
        ),
        (
            "sub is a number",
            claims(json!({"sub": 5})),
            "claim_of_wrong_type",
        ),
        (
            "sid is a list",
            claims(json!({"sid": ["s"]})),
            "claim_of_wrong_type",
        ),
        (
            "sub with a NUL",
            claims(json!({"sub": "a\0b"})),
            "claim_of_wrong_type",
        ),
        // Step 6: the event.
        (
            "no events",
            claims(json!({"events": null})),
            "no_logout_event",
        ),
        ("events is a text", events(json!(EVENT)), "no_logout_event"),
        (
            "events is a list",
            events(json!([EVENT])),
            "no_logout_event",
        ),
        ("events is empty", events(json!({})), "no_logout_event"),
        (
            "events has another event only",
            events(json!({"https://x.example/e": {}})),
            "no_logout_event",
        ),
        (
            "the event is nested",
            events(json!({"x": {EVENT: {}}})),
            "no_logout_event",
        ),
        (
            "the event is null",
            events(json!({EVENT: null})),
            "no_logout_event",
        ),
        (
            "the event is true",
            events(json!({EVENT: true})),
            "no_logout_event",
        ),
        (
            "the event is a number",
            events(json!({EVENT: 1})),
            "no_logout_event",
        ),
        (
            "the event is a text",
            events(json!({EVENT: "{}"})),
            "no_logout_event",
        ),
        (
            "the event is a list",
            events(json!({EVENT: [{}]})),
            "no_logout_event",
        ),
        (
            "the event is there twice, once wrong",
            signed(
                HEADER,
                logout_claims(json!({"events": {EVENT: {}}})).replacen(
                    &format!("\"{EVENT}\":{{}}"),
                    &format!("\"{EVENT}\":{{}},\"{EVENT}\":5"),
                    1,
                ),
            ),
            "no_logout_event",
        ),
        (
            "events is there twice",
            signed(HEADER, twice),
            "claims_not_json",
        ),
        // Step 7: no nonce.
        (
            "a nonce",
            claims(json!({"nonce": "n"})),
            "nonce_in_logout_token",
        ),
        (
            "an empty nonce",
            claims(json!({"nonce": ""})),
            "nonce_in_logout_token",
        ),
        (
            "a nonce of another type",
            claims(json!({"nonce": {"a": 1}})),
            "nonce_in_logout_token",
        ),
        (
            "a nonce that is null",
            signed(
                HEADER,
                logout_claims(json!({})).replacen('{', "{\"nonce\":null,", 1),
            ),
            "nonce_in_logout_token",
        ),
        // Step 8 needs an id.
        ("no jti", claims(json!({"jti": null})), "claim_missing"),
        ("an empty jti", claims(json!({"jti": ""})), "claim_missing"),
        (
            "jti is a number",
            claims(json!({"jti": 1})),
            "claim_of_wrong_type",
        ),
        // Tokens of other types that have the event as well.
        (
            "an access token by token_use",
            claims(json!({"token_use": "access"})),
            "wrong_type",
        ),
        (
            "an access token by type",
            claims(json!({"type": "access"})),
            "wrong_type",
        ),
        (
            "a refresh token by type",
            claims(json!({"type": "refresh"})),
            "wrong_type",
        ),
        (
            "an ID token by at_hash",
            claims(json!({"at_hash": "x"})),
            "wrong_type",
        ),
        (
            "an access token",
            access_token(json!({"aud": CLIENT})),
            "no_logout_event",
        ),
    ]
}

#[tokio::test]
async fn each_check_alone_refuses_a_bad_token() {
    let node = Node::new();
    for (name, token, reason) in broken() {
        let answer = post(&node.logout, &token).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.reason(), reason, "{name}");
        assert!(
            PAGE.contains(&format!("`{reason}`")),
            "{reason} is not in the guide"
        );
        assert!(node.store.is_empty(), "{name}");
        assert!(
            !answer.body.contains("alice") && !answer.body.contains(&token),
            "{name}"
        );
    }
}
