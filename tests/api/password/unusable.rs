//! Rows whose hash cannot be used: they are refused like a wrong password, reported to the caller, and
//! repaired by a password reset.

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{Argon2Params, PasswordError, Verification};

use super::{ARGON2_CFFI, ARGON2_UNICODE, BCRYPT, fast, matched, weak};

/// Rows of accounts that have no password.
const MARKS: [&str; 9] = [
    "",
    " ",
    "!",
    "!!",
    "*",
    "*LK*",
    "*0",
    // Django's set_unusable_password().
    "!dQ2mKx0bP7cWn5tYv9LzGf3hJr8sAe1uXo6iBk4w",
    // A locked account of shadow(5).
    "!$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
];

/// Rows of other systems.
const OTHERS: [&str; 5] = [
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
    "pbkdf2_sha256$870000$c2FsdHNhbHQ$oqcjOD6ofaPNjjKCEHNHmt+lII0cgccNn0D9PuLi7Cc=",
    "pbkdf2:sha256:600000$saltsalt$6d0a5f0f1c9c1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809100",
    "{SSHA}qFmFHbQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5A==",
    "$2x$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
];

/// The reason why the hash in `row` cannot be used, from both methods.
async fn reason(passwords: &PasswordService, row: &str) -> PasswordError {
    let judged = passwords
        .verify_stored("correct horse", Some(row))
        .await
        .unwrap();
    assert!(!judged.is_match(), "{row:?}");
    let reason = judged.unusable_hash().cloned();
    let blocking = passwords
        .verify_stored_blocking("correct horse", Some(row))
        .unwrap();
    assert_eq!(blocking.unusable_hash(), reason.as_ref(), "{row:?}");
    reason.unwrap_or_else(|| panic!("{row:?} can be used"))
}

#[tokio::test]
async fn a_marker_for_no_password_is_refused_and_named() {
    for row in MARKS {
        assert_eq!(reason(&fast(), row).await, PasswordError::NoPassword);
    }
    let (unset, unread) = (
        PasswordError::NoPassword,
        PasswordError::UnsupportedAlgorithm,
    );
    assert_eq!(unset.status(), unread.status());
    assert_eq!(unset.body(), unread.body());
}

#[tokio::test]
async fn a_hash_of_another_system_is_refused_and_named() {
    for row in OTHERS {
        let error = reason(&fast(), row).await;
        assert_eq!(error, PasswordError::UnsupportedAlgorithm, "{row}");
    }
}

#[tokio::test]
async fn a_damaged_hash_is_refused_and_named() {
    let long = "A".repeat(1 << 20);
    for row in [&BCRYPT[..59], &ARGON2_UNICODE[..40], "hunter2", &long] {
        let error = reason(&fast(), row).await;
        assert!(
            matches!(error, PasswordError::InvalidHash { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_hash_that_costs_too_much_is_refused_and_named() {
    let dear = ARGON2_UNICODE.replace("m=19456", "m=1048577");
    assert_eq!(reason(&fast(), &dear).await, PasswordError::CostTooHigh);
    let poor = weak().memory_budget(65_535 * 1024).workers(1);
    let poor = poor.build().unwrap();
    assert_eq!(reason(&poor, ARGON2_CFFI).await, PasswordError::CostTooHigh);
}

#[tokio::test]
async fn a_hash_of_an_unknown_pepper_is_refused_and_named() {
    let peppered = weak().pepper("1", &[1; 32]).build().unwrap();
    let hash = peppered.hash("correct horse").await.unwrap();
    let error = reason(&fast(), hash.as_str()).await;
    assert_eq!(error, PasswordError::UnknownPepper);
}

#[tokio::test]
async fn a_password_reset_repairs_an_unusable_row() {
    let passwords = fast();
    for row in MARKS.into_iter().chain(OTHERS) {
        let mut row = row.to_owned();
        reason(&passwords, &row).await;
        row = passwords
            .hash("new password")
            .await
            .unwrap()
            .as_str()
            .into();
        let judged = passwords.verify_stored("new password", Some(&row)).await;
        assert!(matched(judged.unwrap()).is_none());
    }
}

#[tokio::test]
async fn a_row_and_its_parsed_hash_get_the_same_result() {
    let passwords = fast();
    for (password, row) in [
        ("correct horse", BCRYPT),
        ("correct horse", ARGON2_CFFI),
        ("pässwörd🔑", ARGON2_UNICODE),
    ] {
        let right = passwords.verify_stored(password, Some(row)).await;
        assert!(right.unwrap().is_match(), "{row}");
        let wrong = passwords.verify_stored("wrong", Some(row)).await.unwrap();
        assert!(matches!(wrong, Verification::Mismatch), "{row}");
    }
    let nobody = passwords.verify_stored("correct horse", None).await;
    assert!(matches!(nobody.unwrap(), Verification::Mismatch));
    let strong = PasswordService::builder().argon2(Argon2Params::DEFAULT);
    let strong = strong.workers(1).build().unwrap();
    let judged = strong.verify_stored("correct horse", Some(BCRYPT)).await;
    assert!(matched(judged.unwrap()).is_some());
}

#[tokio::test]
async fn errors_show_no_part_of_an_unusable_row() {
    let row = "hunter2-in-plain-text";
    let judged = fast().verify_stored("typed", Some(row)).await.unwrap();
    let shown = format!("{judged:?} {}", judged.unusable_hash().unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("typed"));
}
