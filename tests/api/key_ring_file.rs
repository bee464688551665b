//! A ring in a file: what is read and written, and on what schedule.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::keys::KeyState;
use tower_jwt_auth::{Algorithm, AuthErrorKind, KeyRing, SigningKey, TokenIssuer};

pub use crate::key_ring_support::Folder;
use crate::key_ring_support::{DAY, active, file_of, read, rotating, states, write};
use crate::support::{NOW, ring_issuer as issuer};

#[test]
fn a_missing_file_is_created_with_one_key_for_its_owner_only() {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    assert_eq!(states(&ring), [KeyState::Active]);
    let file = read(&folder.file());
    assert_eq!(file["keys"][0]["nbf"], NOW);
    assert_eq!(file["keys"][0]["iat"], NOW);
    assert_eq!(file["keys"][0]["kid"], active(&ring));
    assert_eq!(file["keys"][0]["alg"], "EdDSA");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.file()), 0o600);
        assert_eq!(mode(folder.0.join("keys.json.lock")), 0o600);
    }
    // No other files are left behind.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);

    let again = KeyRing::from_file(folder.file()).unwrap();
    let token = issuer(&ring, &clock).access("alice").issue().unwrap();
    let verifier = issuer(&again, &clock).verifier();
    assert!(verifier.verify_local(&token).is_ok());
}

#[test]
fn without_a_schedule_a_missing_file_is_an_error() {
    let folder = Folder::new();
    let error = KeyRing::from_file(folder.file()).unwrap_err().to_string();
    assert!(error.contains("keys.json cannot be read"), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn a_key_of_every_algorithm_is_written_read_and_signs() {
    let rsa = include_str!("../keys/rsa2048.pkcs8.pem");
    for algorithm in Algorithm::ALL {
        let folder = Folder::new();
        let ring = if matches!(&algorithm.as_str()[..2], "RS" | "PS") {
            // Generating one takes a while, so an existing one is written.
            let (ring, clock) = rotating(&folder.file());
            let ring = ring.build().unwrap();
            let key = SigningKey::from_pem(algorithm, rsa).unwrap();
            ring.add(&key, clock.now()).unwrap();
            ring
        } else {
            let clock = ManualClock::at_unix_seconds(NOW);
            let ring = KeyRing::builder()
                .file(folder.file())
                .auto_rotate(algorithm);
            ring.clock(clock).build().unwrap()
        };
        assert_eq!(ring.keys()[0].algorithm, algorithm);
        let clock = ManualClock::at_unix_seconds(NOW);
        let other = KeyRing::builder().file(folder.file()).clock(clock.clone());
        let other = other.build().unwrap();
        for (one, other) in [(&ring, &other), (&other, &ring)] {
            let token = issuer(one, &clock).access("alice").issue().unwrap();
            let verified = issuer(other, &clock).verifier().verify_local(&token);
            assert!(verified.is_ok(), "{algorithm}");
        }
        // The key id is derived from the key (RFC 7638), and the public half has the same id.
        let file = read(&folder.file());
        let mut jwk = file["keys"].as_array().unwrap().last().unwrap().clone();
        jwk.as_object_mut().unwrap().remove("kid");
        let bare = SigningKey::from_jwk(&jwk.to_string()).unwrap();
        assert_eq!(bare.key_id(), ring.keys()[0].key_id);
        for secret in ["\"d\"", "\"p\"", "\"k\"", "nbf"] {
            assert!(!ring.key_set().to_jwks().to_string().contains(secret));
        }
    }
}

#[test]
fn a_key_is_published_ahead_of_its_activation() {
    use KeyState::*;
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    let first = active(&ring);
    let start = clock.now();
    let at = |day: u32, seconds: u64| {
        clock.set(start + DAY * day + Duration::from_secs(seconds) - Duration::from_secs(1_000));
        ring.maintain().unwrap();
        states(&ring)
    };
    assert_eq!(at(89, 999), [Active]);
    assert_eq!(at(89, 1_000), [Active, Standby]);
    assert_eq!(at(89, 2_000), [Active, Standby]);
    assert_eq!(at(90, 999), [Active, Standby]);
    assert_eq!(at(90, 1_000), [Active, Retiring]);
    // 30 days and 300 seconds later.
    assert_eq!(at(120, 1_299), [Active, Retiring]);
    assert_eq!(at(120, 1_300), [Active, Removed]);
    assert_ne!(active(&ring), first);
    let file = read(&folder.file());
    assert_eq!(file["keys"][1]["nbf"], NOW + 90 * 86_400);

    // After a long pause, the next key still gets its full lead time, although it is late.
    assert_eq!(at(400, 1_000), [Active, Standby, Removed]);
    assert_eq!(at(401, 999), [Active, Standby, Removed]);
    assert_eq!(at(401, 1_000), [Active, Retiring, Removed]);
}

#[test]
fn a_removed_key_is_dropped_when_six_keys_were_added_after_it() {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    let first = active(&ring);
    let has_first = || {
        let file = read(&folder.file());
        let mut keys = file["keys"].as_array().unwrap().iter();
        keys.any(|key| key["kid"] == first)
    };
    for added in 0..6 {
        assert!(has_first(), "{added}");
        clock.advance(DAY * 90);
        ring.maintain().unwrap(); // late, so that the key signs a day later
    }
    assert!(has_first());
    ring.maintain().unwrap(); // it was added, and now there are six
    assert!(!has_first());
    let kept = states(&ring).len();
    for _ in 0..8 {
        clock.advance(DAY * 91);
        ring.maintain().unwrap();
        ring.maintain().unwrap();
        assert_eq!(states(&ring).len(), kept);
    }
}

#[test]
fn a_restart_drops_no_key_that_the_issuer_will_need() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let tokens = |ring: &KeyRing| {
        let tokens = TokenIssuer::builder(ring.clone())
            .issuer("me")
            .audience("api");
        let tokens = tokens.refresh_ttl(DAY * 80).clock(clock.clone());
        tokens.build().unwrap()
    };
    let ring = builder.clone().build().unwrap();
    clock.advance(DAY * 89);
    ring.maintain().unwrap();
    let token = tokens(&ring).refresh("alice").issue().unwrap();
    drop(ring);
    clock.advance(DAY * 60); // 59 after the next key took over
    let ring = builder.build().unwrap();
    let again = tokens(&ring);
    ring.maintain().unwrap();
    assert!(again.refresh_verifier().verify_local(&token).is_ok());
}

#[test]
fn changes_by_hand_are_written_and_other_processes_read_them() {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    let other = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let other = other.build().unwrap();
    let first = active(&ring);
    let stolen = issuer(&ring, &clock).access("mallory").issue().unwrap();

    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    ring.add(&key, clock.now() + DAY).unwrap();
    assert!(other.reload().unwrap());
    assert!(!other.reload().unwrap());
    assert_eq!(states(&other), [KeyState::Active, KeyState::Standby]);

    other.activate(key.key_id()).unwrap();
    assert_eq!(active(&other), key.key_id());
    assert_eq!(active(&ring), first);
    ring.maintain().unwrap();
    assert_eq!(active(&ring), key.key_id());

    ring.remove(&first).unwrap();
    let refused = |ring| issuer(ring, &clock).verifier().verify_local(&stolen);
    assert_eq!(
        refused(&ring).unwrap_err().kind(),
        AuthErrorKind::UnknownKey
    );
    assert!(refused(&other).is_ok());
    other.reload().unwrap();
    assert_eq!(
        refused(&other).unwrap_err().kind(),
        AuthErrorKind::UnknownKey
    );
    assert!(ring.remove(key.key_id()).is_err()); // the last one
    assert_eq!(active(&ring), key.key_id());
}

#[test]
fn other_content_of_the_file_is_kept() {
    let folder = Folder::new();
    let mut file: Value = serde_json::from_str(&file_of(1)).unwrap();
    file["about"] = json!({"team": "\"a\" & b"});
    file["keys"][0]["note"] = "ours".into();
    file["keys"][0].as_object_mut().unwrap().remove("nbf");
    write(&folder.file(), file.to_string());
    let ring = KeyRing::from_file(folder.file()).unwrap();
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&key, std::time::UNIX_EPOCH + Duration::from_secs(NOW))
        .unwrap();
    let written = read(&folder.file());
    assert_eq!(written["about"], file["about"]);
    assert_eq!(written["keys"][0], file["keys"][0]); // no `nbf`: active from the start
    assert_eq!(written["keys"][1]["kid"], key.key_id());
}

#[test]
fn a_key_expires_at_its_exp() {
    let folder = Folder::new();
    let mut file: Value = serde_json::from_str(&file_of(2)).unwrap();
    file["keys"][0]["exp"] = json!(NOW + 100);
    write(&folder.file(), file.to_string());
    let clock = ManualClock::at_unix_seconds(NOW + 99);
    let ring = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let ring = ring.build().unwrap();
    assert_eq!(states(&ring), [KeyState::Active, KeyState::Standby]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(states(&ring), [KeyState::Active, KeyState::Removed]);
    assert_eq!(active(&ring), file["keys"][1]["kid"]);
    let tokens = issuer(&ring, &clock);
    file["keys"][1]["exp"] = json!(NOW);
    write(&folder.file(), file.to_string());
    ring.reload().unwrap();
    assert!(tokens.access("alice").issue().is_err()); // an error, and not a panic
    assert!(tokens.key_set().is_empty());
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_a_link() {
    let folder = Folder::new();
    let (target, link) = (folder.file(), folder.0.join("link.json"));
    write(&target, file_of(1));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let ring = KeyRing::from_file(&link).unwrap();
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&key, std::time::UNIX_EPOCH).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&target)["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_schedule_needs_times_that_fit() {
    let folder = Folder::new();
    let builder = || rotating(&folder.file()).0;
    let second = Duration::from_secs(1);
    for bad in [
        builder().publish_for(Duration::ZERO),
        builder().publish_for(second * 10), // no longer than the time between two checks
        builder().rotate_every(DAY),        // no longer than it is published before
        builder().check_every(Duration::ZERO),
        builder().key(SigningKey::generate(Algorithm::EdDSA).unwrap()),
    ] {
        assert!(bad.build().is_err());
        assert!(!folder.file().exists());
    }
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let error = builder().build().unwrap().add(&key, std::time::UNIX_EPOCH);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("does not return its secret")
    );
}
