//! A ring in a file: what is read and written, on what schedule, and whatever may be wrong with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock as _, ManualClock, SystemClock};
use tower_jwt_auth::error::AuthErrorKind;
use tower_jwt_auth::keys::{
    Algorithm, KeyRing, KeyRingBuilder, KeySource, KeySourceState, KeyState,
};
use tower_jwt_auth::sessions::MemorySessions;
use tower_jwt_auth::{Sessions, SigningKey, TokenIssuer, TokenVerifier};

use crate::support::{NOW, ring_issuer as issuer};

const DAY: Duration = Duration::from_secs(86_400);

/// A folder that goes with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tower-jwt-auth-ring-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file as an operator would.
fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    set_mode(path, 0o600);
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A ring that rotates EdDSA keys in this file every 90 days, its clock at [`NOW`].
fn rotating(path: &Path) -> (KeyRingBuilder, ManualClock) {
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder()
        .file(path)
        .rotate(Algorithm::EdDSA)
        .clock(clock.clone());
    (ring, clock)
}

fn states(ring: &KeyRing) -> Vec<KeyState> {
    ring.keys().into_iter().map(|key| key.state).collect()
}

fn active(ring: &KeyRing) -> String {
    ring.signing_key().unwrap().key_id().to_owned()
}

/// The text of a file with this many new keys, each an hour after the one before.
fn file_of(keys: u32) -> String {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    for hours in 1..keys {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        ring.add(&key, clock.now() + Duration::from_secs(3600) * hours)
            .unwrap();
    }
    fs::read_to_string(folder.file()).unwrap()
}

#[test]
fn a_file_that_is_not_there_is_made_with_one_key_for_its_owner_alone() {
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
    // Nothing else is left lying about.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);

    let again = KeyRing::from_file(folder.file()).unwrap();
    let token = issuer(&ring, &clock).access("alice").issue().unwrap();
    let verifier = issuer(&again, &clock).verifier();
    assert!(verifier.verify_local(&token).is_ok());
}

#[test]
fn without_a_schedule_a_missing_file_is_an_error_and_nothing_is_written() {
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
            // To make one takes a while: one that is there is written.
            let (ring, clock) = rotating(&folder.file());
            let ring = ring.build().unwrap();
            let key = SigningKey::from_pem(algorithm, rsa).unwrap();
            ring.add(&key, clock.now()).unwrap();
            ring
        } else {
            let clock = ManualClock::at_unix_seconds(NOW);
            let ring = KeyRing::builder().file(folder.file()).rotate(algorithm);
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
        // The key id is that of the key itself (RFC 7638), and the public half shows no more.
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
fn a_key_is_added_a_lead_before_it_is_due_and_dropped_a_day_after_it_is_removed() {
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
    assert_eq!(at(121, 1_299), [Active, Removed]);
    assert_eq!(at(121, 1_300), [Active]);
    assert_ne!(active(&ring), first);
    let file = read(&folder.file());
    assert_eq!(file["keys"].as_array().unwrap().len(), 1);
    assert_eq!(file["keys"][0]["nbf"], NOW + 90 * 86_400);

    // After a long sleep the next key still gets its lead, though it is late.
    assert_eq!(at(400, 1_000), [Active, Standby]);
    assert_eq!(at(401, 999), [Active, Standby]);
    assert_eq!(at(401, 1_000), [Active, Retiring]);
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
fn what_the_file_says_beside_its_keys_is_kept() {
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
fn a_key_ends_at_its_exp() {
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
    assert!(tokens.access("alice").issue().is_err()); // told, and no panic
    assert!(tokens.key_set().is_empty());
}

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
        (String::new(), "is no JSON object"),
        ("[]".to_owned(), "is no JSON object"),
        ("{}".to_owned(), "has no array `keys`"),
        (r#"{"keys":[]}"#.to_owned(), "no key"),
        (
            changed(|keys| keys[1]["nbf"] = "soon".into()),
            "number 2: its `nbf`, `exp` and `iat`",
        ),
        (
            changed(|keys| keys[1]["nbf"] = (-1).into()),
            "number 2: its `nbf` is no time",
        ),
        (
            changed(|keys| keys[0]["exp"] = 1e300.into()),
            "number 1: its `exp` is no time",
        ),
        (
            changed(|keys| keys[1] = keys[0].clone()),
            "two keys share the key id",
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
            "needs a private member `d`",
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
    // Every half of a file that somebody writes in place, on a byte boundary or not.
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
    assert!(!ring.reload().unwrap()); // what is loaded already
    assert_eq!(ring.problem(), None);
}

#[test]
fn a_file_that_is_gone_for_a_moment_takes_no_key_with_it() {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    let (before, good) = (ring.keys(), fs::read_to_string(folder.file()).unwrap());
    let token = issuer(&ring, &clock).access("alice").issue().unwrap();
    fs::remove_file(folder.file()).unwrap();
    clock.advance(100 * DAY); // long after the next key was due
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

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
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
        builder().publish_for(second * 10), // no longer than the time between two looks
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
            .contains("does not give its secret away")
    );
}

#[test]
fn of_many_that_share_a_file_one_adds_the_key() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    for days in [0_u32, 89, 90, 122] {
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(NOW) + DAY * days);
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    builder.clone().build().unwrap().maintain().unwrap();
                });
            }
        });
        let keys = read(&folder.file())["keys"].as_array().unwrap().len();
        assert_eq!(
            keys,
            [(0, 1), (89, 2), (90, 2), (122, 1)]
                .iter()
                .find(|one| one.0 == days)
                .unwrap()
                .1
        );
    }
}

#[test]
fn no_change_is_lost_where_many_change_one_file() {
    let folder = Folder::new();
    write(&folder.file(), file_of(1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let ring = KeyRing::from_file(folder.file()).unwrap();
                for _ in 0..10 {
                    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
                    ring.add(&key, SystemClock.now() + DAY).unwrap();
                    // And whoever reads meanwhile sees a whole file.
                    KeyRing::from_file(folder.file()).unwrap();
                }
            });
        }
    });
    assert_eq!(KeyRing::from_file(folder.file()).unwrap().keys().len(), 41);
}

#[tokio::test]
async fn a_watched_ring_follows_its_file_and_lets_go_of_it_when_it_is_dropped() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let ring = builder
        .check_every(Duration::from_millis(5))
        .build()
        .unwrap();
    ring.watch().unwrap();
    ring.watch().unwrap(); // once is enough
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    assert_eq!(tasks(), 1);

    // The schedule is kept, what another writes is read, and what is broken shows.
    clock.advance(DAY * 89);
    eventually(|| states(&ring) == [KeyState::Active, KeyState::Standby]).await;
    let other = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    other
        .build()
        .unwrap()
        .add(&key, clock.now() + DAY * 2)
        .unwrap();
    eventually(|| ring.keys().len() == 3).await;
    let good = fs::read_to_string(folder.file()).unwrap();
    write(&folder.file(), "{");
    eventually(|| ring.problem().is_some()).await;
    write(&folder.file(), good);
    eventually(|| ring.problem().is_none()).await;

    let clone = ring.clone();
    drop(ring);
    assert_eq!(tasks(), 1);
    drop(clone);
    eventually(|| tasks() == 0).await;
}

#[test]
fn a_ring_is_watched_inside_a_runtime_only() {
    let folder = Folder::new();
    let ring = rotating(&folder.file()).0.build().unwrap();
    assert!(ring.watch().unwrap_err().to_string().contains("tokio"));
    assert!(
        KeyRing::new(SigningKey::generate(Algorithm::EdDSA).unwrap())
            .watch()
            .is_ok()
    );
}

#[tokio::test]
async fn a_key_that_another_process_has_just_added_is_found_at_once() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let one = builder.build().unwrap();
    let other = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let other = other.build().unwrap();
    let verifiers = [
        issuer(&other, &clock).verifier(),
        TokenVerifier::builder_with_source(other.clone())
            .issuer("me")
            .audience("api")
            .clock(clock.clone())
            .build()
            .unwrap(),
    ];
    let tokens = issuer(&one, &clock);
    for (verifier, algorithm) in verifiers.iter().zip([Algorithm::EdDSA, Algorithm::ES256]) {
        let key = SigningKey::generate(algorithm).unwrap();
        one.add(&key, clock.now()).unwrap();
        let token = tokens.access("alice").issue().unwrap();
        assert!(verifier.verify_local(&token).is_err());
        assert!(verifier.verify(&token).await.is_ok());
    }
    // A refresh token as well: its owner would have to log in again.
    let sessions = MemorySessions::new();
    let with_sessions = |ring: &KeyRing| {
        let tokens = TokenIssuer::builder(ring.clone())
            .issuer("me")
            .audience("api");
        let tokens = tokens.clock(clock.clone()).build().unwrap();
        Sessions::builder(&tokens, sessions.clone())
            .build()
            .unwrap()
    };
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    one.add(&key, clock.now()).unwrap();
    let login = with_sessions(&one).open("alice").issue().await.unwrap();
    let other_sessions = with_sessions(&other);
    let refresh = other_sessions.refresh(&login.refresh_token).await.unwrap();
    assert!(refresh.issue().await.is_ok());

    // A stranger's key is unknown, however often he asks; where the file cannot be read, it might
    // be in there: an outage is no 401.
    let stranger = KeyRing::new(SigningKey::generate(Algorithm::EdDSA).unwrap());
    let token = issuer(&stranger, &clock).access("mallory").issue().unwrap();
    let refused = verifiers[0].verify(&token).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    write(&folder.file(), "{");
    let refused = verifiers[0].verify(&token).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::Unavailable);
    let known = tokens.access("alice").issue().unwrap();
    assert!(verifiers[0].verify(&known).await.is_ok());
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, waited)
        .await
        .expect("it did not come to pass");
}
