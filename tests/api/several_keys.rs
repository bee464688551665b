//! Several key sets for one issuer, such as a shared secret that is replaced by published keys.

use std::time::{Duration, SystemTime};

use tower_jwt_auth::AuthErrorKind::{self, InvalidSignature, UnknownKey, UnsupportedAlgorithm};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey, TokenIssuer, TokenVerifier};

use crate::support::{NOW, SECRET};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn token(key: &SigningKey, clock: &ManualClock) -> String {
    let tokens = TokenIssuer::builder(key.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone());
    tokens.build().unwrap().access("alice").issue().unwrap()
}

fn verdict(verifier: &TokenVerifier, token: &str) -> Option<AuthErrorKind> {
    verifier.verify_local(token).err().map(|error| error.kind())
}

#[test]
fn the_old_secret_works_beside_the_new_keys_until_it_expires() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let (new, legacy) = (
        SigningKey::generate(Algorithm::ES256).unwrap(),
        SigningKey::hs256(SECRET).unwrap(),
    );
    let (fixed, ring) = (new.verifying_key(), KeyRing::new(new.clone()));
    let builder = || {
        TokenVerifier::builder()
            .issuer("me")
            .audience("api")
            .clock(clock.clone())
    };
    for builder in [builder().keys(fixed), builder().key_source(ring)] {
        let start = NOW + 60;
        clock.set(at(NOW));
        let verifier = builder
            .additional_keys_until(legacy.verifying_key(), at(start))
            .build()
            .unwrap();
        let (new, old) = (token(&new, &clock), token(&legacy, &clock));
        for _ in 0..4 {
            assert_eq!(verdict(&verifier, &new), None);
            assert_eq!(verdict(&verifier, &old), None);
        }
        clock.set(at(start - 1));
        assert_eq!(verdict(&verifier, &old), None);
        clock.set(at(start));
        // The signature is cached, but the key is no longer trusted.
        assert!(matches!(
            verdict(&verifier, &old),
            Some(UnsupportedAlgorithm | UnknownKey)
        ));
        assert_eq!(verdict(&verifier, &new), None);
    }
}

#[test]
fn each_algorithm_is_bound_to_its_own_keys() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let new = SigningKey::generate(Algorithm::ES256).unwrap();
    let legacy = SigningKey::hs256(SECRET).unwrap();
    let verifier = TokenVerifier::builder()
        .keys(new.verifying_key())
        .additional_keys(legacy.verifying_key())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    // The public key as an HMAC secret (RFC 8725 section 2.1), and an attacker's secret.
    let other = SigningKey::hs256(*b"7f8a3cd291075eb640f92d886b13ca74").unwrap();
    assert_eq!(
        verdict(&verifier, &token(&other, &clock)),
        Some(InvalidSignature)
    );
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(
        verdict(&verifier, &token(&stranger, &clock)),
        Some(InvalidSignature)
    );
    let eddsa = SigningKey::generate(Algorithm::EdDSA).unwrap();
    assert_eq!(
        verdict(&verifier, &token(&eddsa, &clock)),
        Some(UnsupportedAlgorithm)
    );
}

#[test]
fn a_token_that_names_no_key_must_fit_exactly_one_of_all() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let named = |id: &str| {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        key.with_key_id(id).unwrap()
    };
    let (one, two) = (named("one"), named("two"));
    let verifier = TokenVerifier::builder()
        .keys(one.verifying_key())
        .additional_keys(KeySet::new([two.verifying_key()]).unwrap())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    for key in [&one, &two] {
        assert_eq!(verdict(&verifier, &token(key, &clock)), None);
    }
    assert_eq!(
        verdict(&verifier, &token(&named("three"), &clock)),
        Some(UnknownKey)
    );
    // Two different keys with one id are refused.
    let twin = TokenVerifier::builder()
        .keys(one.verifying_key())
        .additional_keys(named("one").verifying_key())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    let error = twin.verify_local(&token(&one, &clock)).unwrap_err();
    assert_eq!(error.reason(), "ambiguous_key");
}

#[test]
fn a_named_key_takes_precedence_over_keys_that_fit() {
    let clock = ManualClock::at_unix_seconds(NOW);
    // Ids derived from the keys: each key fits a token that names none of them.
    let keys: Vec<_> = (0..4)
        .map(|_| SigningKey::generate(Algorithm::EdDSA).unwrap())
        .collect();
    let mut builder = TokenVerifier::builder()
        .keys(keys[0].verifying_key())
        .issuer("me")
        .audience("api")
        .clock(clock.clone());
    for key in &keys[1..3] {
        builder = builder.additional_keys(key.verifying_key());
    }
    let verifier = builder.build().unwrap();
    for key in &keys[..3] {
        assert_eq!(verdict(&verifier, &token(key, &clock)), None);
    }
    let nobody = verifier.verify_local(&token(&keys[3], &clock)).unwrap_err();
    assert_eq!(nobody.reason(), "ambiguous_key");
}
