//! Hashes that other systems store: those with a prefix, and those that need a verifier of the application.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{
    MAX_PASSWORD_BYTES, PasswordAlgorithm, PasswordError, Verification,
};

use super::{ARGON2_CFFI, BCRYPT, fast, matched, weak};

const PASSWORD: &str = "violet anchor on a slow train";

/// [`PASSWORD`] as Django, Spring Security and PHP store it.
const PREFIXED: [(&str, PasswordAlgorithm); 3] = [
    (
        "argon2$argon2id$v=19$m=19456,t=2,p=1$bUo0ZFFwWDh2UzJrTHI3VA$oqcjOD6ofaPNjjKCEHNHmt+lII0cgccNn0D9PuLi7Cc",
        PasswordAlgorithm::Argon2id,
    ),
    (
        "{bcrypt}$2a$10$swSQ66y2XcK1mLGwnRh/2uRDAgYlRkr6.V5sJdv8.c7G5ZZbJ0PMK",
        PasswordAlgorithm::Bcrypt,
    ),
    (
        "$2y$10$swSQ66y2XcK1mLGwnRh/2uRDAgYlRkr6.V5sJdv8.c7G5ZZbJ0PMK",
        PasswordAlgorithm::Bcrypt,
    ),
];

/// "toy$" and the reversed password.
fn toy(password: &str, stored: &str) -> Option<bool> {
    let backwards: String = password.chars().rev().collect();
    Some(stored.strip_prefix("toy$")? == backwards)
}

fn with_toy() -> PasswordService {
    weak().other_hashes(toy).build().unwrap()
}

#[tokio::test]
async fn hashes_with_the_prefix_of_another_system_verify() {
    let passwords = fast();
    for (row, algorithm) in PREFIXED {
        let hash: tower_jwt_auth::password::PasswordHash = row.parse().unwrap();
        assert_eq!((hash.as_str(), hash.algorithm()), (row, algorithm));
        let judged = passwords.verify_stored(PASSWORD, Some(row)).await.unwrap();
        let rehash = matched(judged);
        assert_eq!(rehash.is_some(), algorithm == PasswordAlgorithm::Bcrypt);
        let wrong = passwords.verify_stored("wrong", Some(row)).await.unwrap();
        assert!(matches!(wrong, Verification::Mismatch), "{row}");
    }
}

#[tokio::test]
async fn only_known_prefixes_are_skipped() {
    let passwords = fast();
    for (prefix, hash, is_known) in [
        ("bcrypt$", BCRYPT, true),
        ("{BLF-CRYPT}", BCRYPT, true),
        ("{CRYPT}", BCRYPT, true),
        ("{argon2}", ARGON2_CFFI, true),
        ("{argon2@SpringSecurity_v5_8}", ARGON2_CFFI, true),
        ("{ARGON2ID}", ARGON2_CFFI, true),
        ("argon2", ARGON2_CFFI, true),
        ("bcrypt_sha256$", BCRYPT, false),
        ("{sha256-bcrypt}", BCRYPT, false),
        ("{argon2}", BCRYPT, false),
        ("{bcrypt}", ARGON2_CFFI, false),
        ("{bcrypt}{bcrypt}", BCRYPT, false),
        ("{noop}", "correct horse", false),
        ("{pbkdf2@SpringSecurity_v5_8}", "00ff", false),
    ] {
        let row = format!("{prefix}{hash}");
        let judged = passwords.verify_stored("correct horse", Some(&row)).await;
        let judged = judged.unwrap();
        assert_eq!(judged.is_match(), is_known, "{row}");
        if !is_known {
            let unsupported = Some(&PasswordError::UnsupportedAlgorithm);
            assert_eq!(judged.unusable_hash(), unsupported, "{row}");
        }
    }
}

#[tokio::test]
async fn unknown_hashes_go_to_a_custom_verifier_and_are_replaced() {
    let passwords = with_toy();
    let row = Some("toy$terces");
    let new = matched(passwords.verify_stored("secret", row).await.unwrap()).unwrap();
    assert_eq!(new.algorithm(), PasswordAlgorithm::Argon2id);
    let again = passwords.verify_stored("secret", Some(new.as_str())).await;
    assert!(matched(again.unwrap()).is_none());
    let wrong = passwords.verify_stored("wrong", row).await.unwrap();
    assert!(matches!(wrong, Verification::Mismatch));
    let blocking = passwords.verify_stored_blocking("secret", row).unwrap();
    assert!(matched(blocking).is_some());
}

#[tokio::test]
async fn verifiers_are_asked_in_turn_until_one_knows_the_hash() {
    let second = |password: &str, stored: &str| Some(stored.strip_prefix("plain$")? == password);
    let passwords = weak().other_hashes(toy).other_hashes(second);
    let passwords = passwords.build().unwrap();
    for (row, is_match) in [
        ("toy$terces", true),
        ("plain$secret", true),
        ("toy$x", false),
    ] {
        let judged = passwords.verify_stored("secret", Some(row)).await.unwrap();
        assert_eq!(judged.is_match(), is_match, "{row}");
        assert!(judged.unusable_hash().is_none());
    }
    let unknown = passwords
        .verify_stored("secret", Some("x$y"))
        .await
        .unwrap();
    let unsupported = Some(&PasswordError::UnsupportedAlgorithm);
    assert_eq!(unknown.unusable_hash(), unsupported);
}

#[tokio::test]
async fn a_custom_verifier_is_not_asked_about_known_hashes() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let passwords = weak().other_hashes(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Some(true)
    });
    let passwords = passwords.build().unwrap();
    let long = "x".repeat(513);
    let dear = ARGON2_CFFI.replace("m=65536", "m=1048577");
    for row in [
        None,
        Some(""),
        Some("!x"),
        Some("*"),
        Some(&*long),
        Some(&*dear),
        Some(BCRYPT),
    ] {
        let judged = passwords.verify_stored("x", row).await.unwrap();
        assert!(!judged.is_match(), "{row:?}");
    }
    let password = "x".repeat(MAX_PASSWORD_BYTES + 1);
    let error = passwords.verify_stored(&password, Some("toy$x")).await;
    assert!(matches!(error, Err(PasswordError::TooLong { .. })));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_in_a_custom_verifier_is_an_unusable_hash() {
    let passwords = weak().other_hashes(|_, _| panic!("on purpose"));
    let passwords = passwords.build().unwrap();
    let judged = passwords.verify_stored("x", Some("toy$x")).await.unwrap();
    let error = judged.unusable_hash().unwrap();
    assert_eq!(error.status(), 401);
    assert!(error.to_string().ends_with("its verifier panicked"));
    assert!(passwords.hash("x").await.is_ok());
}

#[test]
fn a_builder_with_a_custom_verifier_has_debug_output() {
    let shown = format!("{:?}", weak().other_hashes(toy));
    assert!(shown.contains("OtherHashes(1)"), "{shown}");
}
