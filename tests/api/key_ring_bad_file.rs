//! Whatever is wrong with the file of a ring, the keys that were read before stay in use.

use std::fs;

use serde_json::Value;
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::keys::{KeySource, KeySourceState};
use tower_jwt_auth::{Algorithm, AuthErrorKind, KeyRing, SigningKey};

#[cfg(unix)]
use crate::key_ring_support::set_mode;
use crate::key_ring_support::{DAY, Folder, file_of, rotating, write};
use crate::support::{NOW, ring_issuer as issuer};

#[test]
fn a_bad_file_never_harms_the_keys_that_are_loaded() {
    let folder = Folder::new();
    let good = file_of(2);
    write(&folder.file(), &good);
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let ring = ring.build().unwrap();
    let before = ring.keys();

    let changed = |change: fn(&mut Value)| {
        let mut file: Value = serde_json::from_str(&good).unwrap();
        change(&mut file["keys"]);
        file.to_string()
    };
    let bad = [
        (String::new(), "is not a JSON object"),
        ("[]".to_owned(), "is not a JSON object"),
        ("{}".to_owned(), "has no array `keys`"),
        (r#"{"keys":[]}"#.to_owned(), "no key"),
        (
            changed(|keys| keys[1]["nbf"] = "soon".into()),
            "number 2: its `nbf`, `exp` and `iat`",
        ),
        (
            changed(|keys| keys[1]["nbf"] = (-1).into()),
            "number 2: its `nbf` is not a time",
        ),
        (
            changed(|keys| keys[0]["exp"] = 1e300.into()),
            "number 1: its `exp` is not a time",
        ),
        (
            changed(|keys| keys[1] = keys[0].clone()),
            "two keys have the key id",
        ),
        (
            changed(|keys| keys[1]["use"] = "enc".into()),
            "not meant for signatures",
        ),
        (
            changed(|keys| keys[1]["d"] = "AAAA".into()),
            "P-256 private key",
        ),
        (
            changed(|keys| drop(keys[1].as_object_mut().unwrap().remove("d"))),
            "needs its private member `d`",
        ),
        ("x".repeat(1_048_577), "larger than 1 MiB"),
    ];
    for (text, told) in bad {
        write(&folder.file(), &text);
        let error = ring.reload().unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(ring.problem(), Some(error));
        assert_eq!(ring.keys(), before);
        assert!(issuer(&ring, &clock).access("alice").issue().is_ok());
        assert!(KeyRing::from_file(folder.file()).is_err());
    }
    // Every prefix of the file, as if somebody writes it in place, also one that cuts a character in two.
    for end in 1..good.trim_end().len() {
        write(&folder.file(), &good.as_bytes()[..end]);
        assert!(ring.reload().is_err(), "{end}");
    }
    assert_eq!(ring.keys(), before);
    fs::remove_file(folder.file()).unwrap();
    assert!(
        ring.maintain()
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    assert_eq!(ring.keys(), before);

    write(&folder.file(), &good);
    assert!(!ring.reload().unwrap()); // with the keys that are loaded already
    assert_eq!(ring.problem(), None);
}

#[test]
fn a_file_that_vanishes_briefly_removes_no_keys() {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    let (before, good) = (ring.keys(), fs::read_to_string(folder.file()).unwrap());
    let token = issuer(&ring, &clock).access("alice").issue().unwrap();
    fs::remove_file(folder.file()).unwrap();
    clock.advance(100 * DAY); // long after the time of the next key
    let error = ring.maintain().unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(
        ring.add(
            &SigningKey::generate(Algorithm::EdDSA).unwrap(),
            clock.now()
        )
        .is_err()
    );
    assert!(!folder.file().exists());
    assert_eq!(ring.keys()[0].key_id, before[0].key_id);
    assert!(KeySource::health(&ring).unwrap().last_error.is_some());
    assert_eq!(
        KeySource::health(&ring).unwrap().state,
        KeySourceState::Stale
    );

    write(&folder.file(), &good);
    ring.maintain().unwrap();
    assert_eq!(
        KeySource::health(&ring).unwrap().state,
        KeySourceState::Fresh
    );
    assert_eq!(ring.keys().len(), 2, "the key that was due");
    let verifier = issuer(&ring, &clock).verifier();
    let refused = verifier.verify_local(&token).unwrap_err();
    assert_eq!(
        refused.kind(),
        AuthErrorKind::Expired,
        "its key is still known"
    );
}

#[test]
fn an_error_never_shows_a_key() {
    let folder = Folder::new();
    let good = file_of(1);
    let file: Value = serde_json::from_str(&good).unwrap();
    let secret = file["keys"][0]["d"].as_str().unwrap();
    for end in 1..good.trim_end().len() {
        write(&folder.file(), &good.as_bytes()[..end]);
        let error = KeyRing::from_file(folder.file()).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains(&secret[..6]),
            "{error:?}"
        );
    }
    write(&folder.file(), &good);
    let ring = KeyRing::from_file(folder.file()).unwrap();
    assert!(!format!("{ring:?}").contains(secret));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_use_is_refused() {
    let folder = Folder::new();
    write(&folder.file(), file_of(1));
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        (0o440, true), // a mounted secret
        (0o644, false),
        (0o604, false),
        (0o602, false),
        (0o660, false),
        (0o777, false),
    ] {
        set_mode(&folder.file(), mode);
        let ring = KeyRing::from_file(folder.file());
        assert_eq!(ring.is_ok(), good, "{mode:o}");
        if let Err(error) = ring {
            assert!(error.to_string().contains("`chmod 600` it"), "{error}");
        }
    }
}
