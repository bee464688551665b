//! A ring in memory: its states over time, and the issuers and verifiers that follow it.

use std::time::{Duration, UNIX_EPOCH};

use tower_jwt_auth::clock::{Clock, ManualClock};
use tower_jwt_auth::keys::{DEFAULT_RETIRE_FOR, KeyLookup, KeySource, KeyState};
use tower_jwt_auth::{
    Algorithm, AuthErrorKind, ConfigError, KeyRing, SigningKey, TokenIssuer, TokenVerifier,
};

use crate::support::{NOW, ring_issuer as issuer};

const HOUR: Duration = Duration::from_secs(3600);

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).unwrap()
}

/// A ring of one key, with its clock at [`NOW`].
fn ring(key: &SigningKey) -> (KeyRing, ManualClock) {
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder()
        .key(key.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    (ring, clock)
}

fn states(ring: &KeyRing) -> Vec<(String, KeyState)> {
    let keys = ring.keys().into_iter();
    keys.map(|key| (key.key_id, key.state)).collect()
}

fn state(ring: &KeyRing, key: &SigningKey) -> Option<KeyState> {
    let keys = ring.keys().into_iter();
    keys.filter(|one| one.key_id == key.key_id())
        .map(|one| one.state)
        .next()
}

#[test]
fn a_key_is_published_signs_retires_and_is_removed_on_time() {
    let (old, new) = (key(), key());
    let (ring, clock) = ring(&old);
    let tokens = issuer(&ring, &clock);
    let verifier = tokens.verifier();
    ring.add(&new, clock.now() + HOUR).unwrap();

    // It waits: it is accepted and published, but does not sign.
    assert_eq!(state(&ring, &new), Some(KeyState::Standby));
    assert_eq!(ring.key_set().len(), 2);
    clock.advance(HOUR - Duration::from_micros(1));
    assert_eq!(ring.signing_key().unwrap().key_id(), old.key_id());
    let last = tokens.refresh("alice").issue().unwrap(); // the longest lifetime that is possible

    clock.advance(Duration::from_micros(1));
    assert_eq!(ring.signing_key().unwrap().key_id(), new.key_id());
    assert_eq!(state(&ring, &old), Some(KeyState::Retiring));
    let first = tokens.access("alice").issue().unwrap();
    assert!(verifier.verify_local(&first).is_ok());
    assert!(tokens.refresh_verifier().verify_local(&last).is_ok());

    let until = ring.keys()[1].until.unwrap();
    assert_eq!(until, clock.now() + DEFAULT_RETIRE_FOR);
    clock.set(until - Duration::from_secs(1));
    assert_eq!(state(&ring, &old), Some(KeyState::Retiring));
    assert_eq!(ring.key_set().len(), 2);
    // The key outlives the last token: the token has expired, not the key.
    let refused = tokens.refresh_verifier().verify_local(&last).unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::Expired);

    clock.set(until);
    assert_eq!(state(&ring, &old), Some(KeyState::Removed));
    assert_eq!(ring.key_set().len(), 1);
    let refused = tokens.refresh_verifier().verify_local(&last).unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
}

#[test]
fn the_last_token_of_a_key_is_accepted_until_it_expires() {
    // Also if tokens live longer than a key retires by default, and until the end of the leeway.
    let (old, new) = (key(), key());
    let (ring, clock) = ring(&old);
    let ttl = Duration::from_secs(90 * 86_400);
    let tokens = TokenIssuer::builder(ring.clone())
        .issuer("me")
        .audience("api")
        .refresh_ttl(ttl)
        .leeway(Duration::from_secs(200))
        .clock(clock.clone())
        .build()
        .unwrap();
    ring.add(&new, clock.now() + HOUR).unwrap();
    clock.advance(HOUR - Duration::from_secs(1));
    let last = tokens.refresh("alice").issue().unwrap();

    clock.advance(ttl + Duration::from_secs(199));
    assert_eq!(state(&ring, &old), Some(KeyState::Retiring));
    assert!(tokens.refresh_verifier().verify_local(&last).is_ok());
    clock.advance(Duration::from_secs(2));
    assert_eq!(state(&ring, &old), Some(KeyState::Removed));
}

#[test]
fn a_key_that_is_added_to_sign_from_now_on_does() {
    let new = key();
    let (ring, clock) = ring(&key());
    clock.advance(Duration::from_millis(999));
    ring.add(&new, clock.now()).unwrap();
    assert_eq!(state(&ring, &new), Some(KeyState::Active));
}

#[test]
fn a_key_with_a_time_between_two_seconds_begins_at_the_earlier() {
    let new = key();
    let (ring, clock) = ring(&key());
    ring.add(&new, clock.now() + Duration::from_millis(10_001))
        .unwrap();
    clock.advance(Duration::from_micros(9_999_999));
    assert_eq!(state(&ring, &new), Some(KeyState::Standby));
    clock.advance(Duration::from_micros(1));
    assert_eq!(state(&ring, &new), Some(KeyState::Active));
}

#[test]
fn rings_with_the_same_keys_agree_in_any_order() {
    let keys = [key(), key(), key()];
    let clock = ManualClock::at_unix_seconds(NOW);
    let at = |hours: u32| clock.now() + HOUR * hours;
    let build = |order: [usize; 3]| {
        let start = KeyRing::builder().clock(clock.clone());
        let ring = order.into_iter().fold(start, |ring, index| {
            ring.key_active_from(keys[index].clone(), at(u32::try_from(index).unwrap()))
        });
        ring.build().unwrap()
    };
    let (one, other) = (build([0, 1, 2]), build([2, 0, 1]));
    for _ in 0..800 {
        assert_eq!(states(&one), states(&other));
        let kid = one.signing_key().unwrap().key_id().to_owned();
        assert_eq!(kid, other.signing_key().unwrap().key_id());
        clock.advance(HOUR);
    }
    assert_eq!(one.keys()[1].state, KeyState::Removed);
}

#[test]
fn removing_a_key_invalidates_all_that_it_signed() {
    let (stolen, new) = (key(), key());
    let (ring, clock) = ring(&stolen);
    let tokens = issuer(&ring, &clock);
    let by_source = TokenVerifier::builder()
        .key_source(ring.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    let forged = tokens.access("mallory").issue().unwrap();
    assert!(by_source.verify_local(&forged).is_ok());

    // The only key cannot be removed: nobody could log in.
    assert_eq!(ring.remove(stolen.key_id()), Err(ConfigError::NoKeys));
    ring.add(&new, clock.now()).unwrap();
    ring.remove(stolen.key_id()).unwrap();
    for verifier in [&tokens.verifier(), &by_source] {
        let refused = verifier.verify_local(&forged).unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    }
    assert_eq!(ring.keys().len(), 1);
    let token = tokens.access("alice").issue().unwrap();
    assert!(by_source.verify_local(&token).is_ok());
}

#[test]
fn removing_the_active_key_activates_the_previous_or_next() {
    let (first, second, third) = (key(), key(), key());
    let (ring, clock) = ring(&first);
    ring.add(&second, clock.now()).unwrap();
    ring.add(&third, clock.now() + HOUR).unwrap();
    ring.remove(second.key_id()).unwrap();
    assert_eq!(ring.signing_key().unwrap().key_id(), first.key_id());
    ring.remove(first.key_id()).unwrap();
    assert_eq!(ring.signing_key().unwrap().key_id(), third.key_id());
}

#[test]
fn a_key_is_activated_by_hand_forwards_and_back() {
    let (first, second) = (key(), key());
    let (ring, clock) = ring(&first);
    ring.add(&second, clock.now() + HOUR).unwrap();
    for active in [&second, &first, &second] {
        ring.activate(active.key_id()).unwrap(); // within one second, too
        assert_eq!(ring.signing_key().unwrap().key_id(), active.key_id());
    }
    assert_eq!(state(&ring, &first), Some(KeyState::Retiring));
    clock.advance(DEFAULT_RETIRE_FOR);
    assert_eq!(state(&ring, &first), Some(KeyState::Removed));
}

#[test]
fn the_next_change_drops_keys_removed_a_day_ago() {
    let (ring, clock) = ring(&key());
    ring.add(&key(), clock.now()).unwrap();
    clock.advance(DEFAULT_RETIRE_FOR + HOUR * 23);
    ring.add(&key(), clock.now() + HOUR).unwrap();
    assert_eq!(ring.keys().len(), 3);
    clock.advance(HOUR);
    ring.add(&key(), clock.now() + HOUR).unwrap();
    assert_eq!(ring.keys().len(), 3);
}

#[test]
fn an_invalid_ring_is_an_error() {
    assert_eq!(KeyRing::builder().build().unwrap_err(), ConfigError::NoKeys);
    let key = key();
    let twice = KeyRing::builder().key(key.clone()).key(key.clone()).build();
    assert_eq!(
        twice.unwrap_err(),
        ConfigError::DuplicateKeyId(key.key_id().to_owned())
    );
    let (ring, clock) = ring(&key);
    assert!(matches!(
        ring.add(&key, clock.now()),
        Err(ConfigError::DuplicateKeyId(_))
    ));
    for unknown in [ring.activate("nobody\n"), ring.remove("nobody\n")] {
        let told = unknown.unwrap_err().to_string();
        assert_eq!(
            told,
            r"there is no key `nobody\n` in the ring: `KeyRing::keys` lists those that exist"
        );
    }
    let text = KeyRing::builder()
        .key(key)
        .auto_rotate(Algorithm::EdDSA)
        .build();
    assert!(text.unwrap_err().to_string().contains("only in a file"));
}

#[test]
fn a_ring_answers_as_a_key_set_does() {
    let (ed, ec) = (key(), SigningKey::generate(Algorithm::ES256).unwrap());
    let (ring, clock) = ring(&ed);
    ring.add(&ec, clock.now() + HOUR).unwrap();
    let found = |key_id, alg| match ring.find(key_id, alg) {
        KeyLookup::Found(key) => key.key_id().to_owned(),
        KeyLookup::UnknownKey => "unknown".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(found(Some(ec.key_id()), "ES256"), ec.key_id());
    assert_eq!(found(Some(ec.key_id()), "EdDSA"), "OtherAlgorithm");
    assert_eq!(found(None, "EdDSA"), ed.key_id());
    assert_eq!(found(None, "RS256"), "UnsupportedAlgorithm");
    assert_eq!(found(Some("other"), "EdDSA"), "unknown");
    assert_eq!(found(Some("other"), "RS256"), "unknown"); // the next key may fit
    ring.add(&key(), clock.now() + HOUR).unwrap();
    assert_eq!(found(None, "EdDSA"), "Ambiguous"); // two fit
}

#[test]
fn an_issuer_with_a_ring_still_accepts_a_previous_key() {
    let (before, own) = (key(), key());
    let clock = ManualClock::at_unix_seconds(NOW);
    let old = TokenIssuer::builder(before.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    let (ring, _) = ring(&own);
    let build = |previous: &SigningKey| {
        TokenIssuer::builder(ring.clone())
            .previous_key(previous.verifying_key())
            .issuer("me")
            .audience("api")
            .clock(clock.clone())
            .build()
    };
    let tokens = build(&before).unwrap();
    assert_eq!(tokens.key_set().len(), 2);
    for issuer in [&old, &tokens] {
        let token = issuer.access("alice").issue().unwrap();
        assert!(tokens.verifier().verify_local(&token).is_ok());
    }
    let stranger = TokenIssuer::builder(key()).issuer("me").audience("api");
    let token = stranger.clock(clock.clone()).build().unwrap();
    let token = token.access("alice").issue().unwrap();
    let refused = tokens.verifier().verify_local(&token).unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    assert!(matches!(build(&own), Err(ConfigError::DuplicateKeyId(_))));
}

#[test]
fn key_states_are_reported_for_health_pages() {
    let (ring, clock) = ring(&key());
    ring.add(&key(), clock.now() + HOUR).unwrap();
    let keys = ring.keys();
    assert_eq!(
        (keys[0].since, keys[0].until),
        (None, Some(clock.now() + HOUR))
    );
    assert_eq!(
        (keys[1].since, keys[1].until),
        (None, Some(clock.now() + HOUR))
    );
    assert_eq!(keys[1].state.to_string(), "standby");
    clock.advance(HOUR);
    assert_eq!(ring.keys()[0].since, Some(clock.now()));
    assert_eq!(ring.keys()[0].algorithm, Algorithm::EdDSA);
    assert_eq!(ring.problem(), None);
    clock.set(UNIX_EPOCH); // even an absurd clock leaves a key that signs
    assert!(ring.signing_key().is_ok());
}
