//! A token that was seen before needs no signature check, but all other checks still apply.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind::{Expired, InvalidAudience, InvalidIssuer, Revoked, UnknownKey};
use tower_jwt_auth::clock::{Clock, ManualClock};
use tower_jwt_auth::revocation::{MemoryRevocations, RevocationStore};
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey, TokenIssuer, TokenVerifier};

use crate::support::NOW;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).unwrap()
}

fn issuer(key: SigningKey, clock: &ManualClock) -> TokenIssuer {
    TokenIssuer::builder(key)
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .cached_tokens(1000)
        .build()
        .unwrap()
}

/// A verifier that caches tokens by default, and one that is told to.
fn both_kinds() -> [SigningKey; 2] {
    [Algorithm::EdDSA, Algorithm::HS256].map(|algorithm| SigningKey::generate(algorithm).unwrap())
}

/// Presents the token often enough to get it into the cache.
fn known(verifier: &TokenVerifier, token: &str) {
    (0..5).for_each(|_| drop(verifier.verify_local(token).unwrap()));
}

#[test]
fn a_cached_token_still_expires_to_the_second() {
    for key in both_kinds() {
        let clock = ManualClock::at_unix_seconds(NOW);
        let tokens = issuer(key, &clock);
        let token = tokens.access("alice").issue().unwrap();
        known(&tokens.verifier(), &token);
        clock.advance(Duration::from_secs(900 + 29));
        assert!(tokens.verifier().verify_local(&token).is_ok());
        clock.advance(Duration::from_secs(1));
        for _ in 0..2 {
            let refused = tokens.verifier().verify_local(&token).unwrap_err();
            assert_eq!(refused.kind(), Expired); // RFC 7519 section 4.1.4
        }
    }
}

#[tokio::test]
async fn a_cached_token_is_refused_once_it_is_revoked() {
    for key in both_kinds() {
        let store = MemoryRevocations::new();
        let tokens = TokenIssuer::builder(key)
            .issuer("me")
            .audience("api")
            .revocation(store.clone())
            .cached_tokens(1000)
            .build()
            .unwrap();
        let token = tokens.access("alice").issue().unwrap();
        for _ in 0..5 {
            assert!(tokens.verifier().verify(&token).await.is_ok());
        }
        let verified = tokens.verifier().verify(&token).await.unwrap();
        store
            .revoke(&[verified.revocation().unwrap()])
            .await
            .unwrap();
        let refused = tokens.verifier().verify(&token).await.unwrap_err();
        assert_eq!(refused.kind(), Revoked);
    }
}

#[test]
fn a_cached_token_is_refused_once_its_key_is_removed() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let (old, new) = (key(), key());
    let ring = KeyRing::builder()
        .key(old.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    ring.add(&new, clock.now()).unwrap();
    let tokens = issuer(old.clone(), &clock);
    let verifier = TokenVerifier::builder()
        .key_source(ring.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    let token = tokens.access("alice").issue().unwrap();
    known(&verifier, &token);
    ring.remove(old.key_id()).unwrap();
    let refused = verifier.verify_local(&token).unwrap_err();
    assert_eq!(refused.kind(), UnknownKey);
    ring.add(&old, clock.now()).unwrap();
    known(&verifier, &token);
}

#[test]
fn verifiers_do_not_share_cached_tokens() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let key = key();
    let token = issuer(key.clone(), &clock).access("alice").issue().unwrap();
    let verifier = |issuer: &str, audience: &str| {
        TokenVerifier::builder()
            .keys(key.verifying_key())
            .issuer(issuer)
            .audience(audience)
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let (one, other_audience, other_issuer) = (
        verifier("me", "api"),
        verifier("me", "other"),
        verifier("you", "api"),
    );
    known(&one, &token);
    for _ in 0..5 {
        let refused = other_audience.verify_local(&token).unwrap_err();
        assert_eq!(refused.kind(), InvalidAudience);
        let refused = other_issuer.verify_local(&token).unwrap_err();
        assert_eq!(refused.kind(), InvalidIssuer);
    }
}

#[test]
fn the_audience_claim_of_a_cached_token_is_always_checked() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let key = key();
    let tokens = TokenIssuer::builder(key.clone())
        .issuer("me")
        .dangerous_no_audience()
        .clock(clock.clone())
        .build()
        .unwrap();
    let claims = serde_json::json!({ "client_id": "app" });
    let token = tokens.access("alice").claims(claims).issue().unwrap();
    let verifier = |client: &str| {
        TokenVerifier::builder()
            .keys(key.verifying_key())
            .issuer("me")
            .audience(client)
            .audience_claim("client_id")
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    known(&verifier("app"), &token);
    for _ in 0..5 {
        assert!(verifier("other").verify_local(&token).is_err());
    }
}

#[test]
fn tokens_of_the_ninth_key_and_later_are_accepted() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder()
        .key(key())
        .clock(clock.clone())
        .build()
        .unwrap();
    let verifier = TokenVerifier::builder()
        .key_source(ring.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    for _ in 0..20 {
        let next = key();
        ring.add(&next, clock.now()).unwrap();
        known(
            &verifier,
            &issuer(next, &clock).access("alice").issue().unwrap(),
        );
    }
}

#[test]
fn caching_tokens_can_be_turned_off() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let key = key();
    let token = issuer(key.clone(), &clock).access("alice").issue().unwrap();
    for count in [0, 1, 1000] {
        let verifier = TokenVerifier::builder()
            .keys(key.verifying_key())
            .issuer("me")
            .audience("api")
            .cached_tokens(count)
            .clock(clock.clone())
            .build()
            .unwrap();
        known(&verifier, &token);
    }
}
