//! Reading a token without verifying it.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::dangerous::{decode_unverified, expires_at, is_expired};

use crate::support::{NOW, claims, key, signed, tokens};

#[test]
fn a_token_is_read_without_its_key() {
    let token = tokens().access("alice").claim("tenant", 7).issue().unwrap();
    let unverified = decode_unverified::<Value>(&token).unwrap();
    assert_eq!(unverified.unverified_claims()["tenant"], 7);
    assert_eq!(unverified.algorithm(), "HS256");
    assert_eq!(unverified.key_id(), Some(key().key_id()));
    assert_eq!(unverified.header_type(), Some("at+jwt"));
    let forged = &token[..token.rfind('.').unwrap() + 1];
    assert_eq!(
        decode_unverified::<Value>(forged)
            .unwrap()
            .into_unverified_claims()["sub"],
        "alice"
    );
}

#[test]
fn expiry_is_exact_to_the_second() {
    let token = tokens().access("alice").issue().unwrap();
    assert_eq!(
        expires_at(&token).unwrap(),
        Some(UNIX_EPOCH + Duration::from_secs(NOW + 900))
    );
    let clock = ManualClock::at_unix_seconds(NOW + 899);
    assert!(!is_expired(&token, &clock).unwrap());
    clock.advance(Duration::from_secs(1));
    assert!(is_expired(&token, &clock).unwrap());

    let never = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a"}"#);
    assert_eq!(expires_at(&never).unwrap(), None);
    assert!(!is_expired(&never, &clock).unwrap());
}

#[test]
fn text_that_is_not_a_token_is_an_error() {
    for bad in ["", "a.b.c", "not a token", &"x".repeat(9000)] {
        let kind = AuthErrorKind::MalformedToken;
        assert_eq!(decode_unverified::<Value>(bad).unwrap_err().kind(), kind);
        assert_eq!(expires_at(bad).unwrap_err().kind(), kind);
        assert_eq!(
            is_expired(bad, &ManualClock::at_now()).unwrap_err().kind(),
            kind
        );
    }
    let odd = signed(
        r#"{"alg":"HS256"}"#,
        claims("").replace(&(NOW + 900).to_string(), "\"soon\""),
    );
    assert_eq!(
        expires_at(&odd).unwrap_err().kind(),
        AuthErrorKind::InvalidClaim
    );
    let duplicate = signed(r#"{"alg":"HS256"}"#, claims(r#","sub":"bob""#));
    assert!(decode_unverified::<Value>(&duplicate).is_err());
    let unfit = decode_unverified::<Vec<u8>>(&signed(r#"{"alg":"HS256"}"#, claims("")));
    assert_eq!(unfit.unwrap_err().kind(), AuthErrorKind::ClaimsMismatch);
}
