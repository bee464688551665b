//! Rings that share a file: which one adds a key, which ones follow, and how fast.

use std::fs;
use std::time::Duration;

use tower_jwt_auth::clock::{Clock as _, SystemClock};
use tower_jwt_auth::keys::KeyState;
use tower_jwt_auth::sessions::MemorySessions;
use tower_jwt_auth::{
    Algorithm, AuthErrorKind, KeyRing, Sessions, SigningKey, TokenIssuer, TokenVerifier,
};

use crate::key_ring_support::{DAY, Folder, eventually, file_of, read, rotating, states, write};
use crate::support::{NOW, ring_issuer as issuer};

#[test]
fn of_many_nodes_that_share_a_file_one_adds_the_key() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    for (days, keys) in [(0_u32, 1), (89, 2), (90, 2), (179, 3)] {
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
        let file = read(&folder.file());
        assert_eq!(file["keys"].as_array().unwrap().len(), keys, "{days}");
    }
}

#[test]
fn concurrent_changes_of_one_file_are_not_lost() {
    let folder = Folder::new();
    write(&folder.file(), file_of(1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let ring = KeyRing::from_file(folder.file()).unwrap();
                for _ in 0..10 {
                    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
                    ring.add(&key, SystemClock.now() + DAY).unwrap();
                    // A reader sees a complete file at any time.
                    KeyRing::from_file(folder.file()).unwrap();
                }
            });
        }
    });
    assert_eq!(KeyRing::from_file(folder.file()).unwrap().keys().len(), 41);
}

#[tokio::test]
async fn a_watched_ring_follows_its_file_until_it_is_dropped() {
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

    // The schedule is kept, changes by others are read, and errors are reported.
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
fn a_ring_can_only_be_watched_inside_a_runtime() {
    let folder = Folder::new();
    let ring = rotating(&folder.file()).0.build().unwrap();
    assert!(ring.watch().unwrap_err().to_string().contains("Tokio"));
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
        TokenVerifier::builder()
            .key_source(other.clone())
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
    // The same holds for a refresh token: otherwise its owner would have to log in again.
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

    // An attacker's key is unknown, however often it is asked for. If the file cannot be read, the key might
    // be in it: that is an outage and not a 401.
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
