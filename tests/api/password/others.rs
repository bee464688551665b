//! Hashes that were made in other languages, and their replacement at login.

use std::collections::HashMap;
use std::sync::Mutex;

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{Argon2Params, PasswordAlgorithm, PasswordHash, Verification};

use super::{
    ARGON2_CFFI, ARGON2_REFERENCE, ARGON2_UNICODE, ARGON2D, BCRYPT, fast, matched, read, weak,
};

#[tokio::test]
async fn hashes_of_other_languages_verify() {
    let passwords = fast();
    let mut known = vec![
        ("correct horse", BCRYPT.to_owned()),
        ("correct horse", ARGON2_CFFI.into()),
    ];
    known.push(("pässwörd🔑", ARGON2_UNICODE.into()));
    known.extend(
        ARGON2_REFERENCE
            .iter()
            .map(|hash| ("password", (*hash).to_owned())),
    );
    known.push(("correct horse", ARGON2D.into()));
    for prefix in ["$2a$", "$2y$"] {
        known.push(("correct horse", BCRYPT.replace("$2b$", prefix)));
    }
    for (password, hash) in known {
        let stored = read(&hash);
        assert!(
            passwords
                .verify(password, Some(&stored))
                .await
                .unwrap()
                .is_match(),
            "{hash}"
        );
        let wrong = format!("{password}x");
        assert!(
            !passwords
                .verify(&wrong, Some(&stored))
                .await
                .unwrap()
                .is_match(),
            "{hash}"
        );
    }
}

#[test]
fn each_hash_names_its_algorithm() {
    for (hash, name) in [
        (BCRYPT, "bcrypt"),
        (ARGON2_CFFI, "argon2id"),
        (ARGON2_REFERENCE[0], "argon2i"),
        (ARGON2D, "argon2d"),
    ] {
        assert_eq!(read(hash).algorithm().to_string(), name);
        assert_eq!(read(hash).algorithm().as_str(), name);
    }
}

#[test]
fn a_hash_that_is_stronger_than_the_policy_is_kept() {
    let passwords = PasswordService::new();
    assert!(!passwords.needs_rehash(&read(ARGON2_CFFI)));
    assert!(!passwords.needs_rehash(&read(ARGON2_UNICODE)));
    for weaker in ARGON2_REFERENCE.iter().chain(&[ARGON2D, BCRYPT]) {
        assert!(passwords.needs_rehash(&read(weaker)), "{weaker}");
    }
}

#[tokio::test]
async fn a_weaker_hash_is_replaced_by_one_of_the_policy() {
    let stronger = weak().argon2(Argon2Params::new(128, 2, 1)).build().unwrap();
    let old = fast().hash("secret").await.unwrap();
    let new = matched(stronger.verify("secret", Some(&old)).await.unwrap()).unwrap();
    assert!(new.as_str().starts_with("$argon2id$v=19$m=128,t=2,p=1$"));
    assert!(matched(stronger.verify("secret", Some(&new)).await.unwrap()).is_none());
    // With the weaker policy again, the hash stays.
    assert!(matched(fast().verify("secret", Some(&new)).await.unwrap()).is_none());
    // A wrong password replaces nothing.
    let wrong = stronger.verify("wrong", Some(&old)).await.unwrap();
    assert!(matches!(wrong, Verification::Mismatch));
}

/// The table of users, with the statement that a rehash needs.
#[derive(Default)]
struct Table(Mutex<HashMap<String, String>>);

impl Table {
    fn hash_of(&self, user: &str) -> Option<PasswordHash> {
        self.0.lock().unwrap().get(user).map(|row| read(row))
    }

    /// `UPDATE users SET hash = new WHERE name = user AND hash = old`
    fn compare_and_swap(&self, user: &str, old: &PasswordHash, new: &PasswordHash) -> bool {
        let mut rows = self.0.lock().unwrap();
        match rows.get_mut(user) {
            Some(row) if row == old.as_str() => {
                *row = new.as_str().to_owned();
                true
            }
            _ => false,
        }
    }
}

#[tokio::test]
async fn a_bcrypt_hash_is_replaced_by_argon2id_at_login() {
    let (passwords, table) = (fast(), Table::default());
    table.0.lock().unwrap().insert("ada".into(), BCRYPT.into());

    // Two logins read the old row at the same time. Both succeed, and one of them stores its hash.
    let old = table.hash_of("ada").unwrap();
    let (first, second) = tokio::join!(
        passwords.verify("correct horse", Some(&old)),
        passwords.verify("correct horse", Some(&old)),
    );
    let (first, second) = (
        matched(first.unwrap()).unwrap(),
        matched(second.unwrap()).unwrap(),
    );
    assert!(table.compare_and_swap("ada", &old, &first));
    assert!(!table.compare_and_swap("ada", &old, &second));

    let stored = table.hash_of("ada").unwrap();
    assert_eq!(stored.algorithm(), PasswordAlgorithm::Argon2id);
    assert!(
        matched(
            passwords
                .verify("correct horse", Some(&stored))
                .await
                .unwrap()
        )
        .is_none()
    );
    assert!(
        !passwords
            .verify("wrong", Some(&stored))
            .await
            .unwrap()
            .is_match()
    );
}
