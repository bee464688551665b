//! Peppers and configuration.

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{Argon2Params, PasswordError, Verification};

use super::{BCRYPT, fast, matched, read, weak};

const KEY: &[u8] = &[1; 32];
const OLD_KEY: &[u8] = &[2; 32];

#[tokio::test]
async fn a_pepper_is_rotated_without_losing_a_login() {
    let bare = fast();
    let first = weak().pepper("2024", OLD_KEY).build().unwrap();
    let second = weak()
        .pepper("2025", KEY)
        .previous_pepper("2024", OLD_KEY)
        .build()
        .unwrap();
    let last = weak().pepper("2025", KEY).build().unwrap();

    let without = bare.hash("secret").await.unwrap();
    let old = matched(first.verify("secret", Some(&without)).await.unwrap()).unwrap();
    assert!(old.as_str().contains(",keyid=MjAyNA$"));
    assert!(matched(first.verify("secret", Some(&old)).await.unwrap()).is_none());

    let new = matched(second.verify("secret", Some(&old)).await.unwrap()).unwrap();
    assert!(new.as_str().contains(",keyid=MjAyNQ$"));
    assert!(matched(second.verify("secret", Some(&new)).await.unwrap()).is_none());
    assert!(!second.verify("wrong", Some(&old)).await.unwrap().is_match());

    assert!(matched(last.verify("secret", Some(&new)).await.unwrap()).is_none());
    for (passwords, hash) in [(&last, &old), (&bare, &new)] {
        let unknown = passwords.verify("secret", Some(hash)).await.unwrap();
        assert_eq!(unknown.unusable_hash(), Some(&PasswordError::UnknownPepper));
    }

    // Without the current pepper: it becomes a previous one, and there is no new one.
    let given_up = weak().previous_pepper("2025", KEY).build().unwrap();
    let plain = matched(given_up.verify("secret", Some(&new)).await.unwrap()).unwrap();
    assert!(!plain.as_str().contains("keyid"));
}

#[tokio::test]
async fn the_same_id_with_another_secret_does_not_verify() {
    let hash = weak()
        .pepper("1", KEY)
        .build()
        .unwrap()
        .hash("secret")
        .await
        .unwrap();
    let other = weak().pepper("1", OLD_KEY).build().unwrap();
    assert!(
        !other
            .verify("secret", Some(&hash))
            .await
            .unwrap()
            .is_match()
    );
    // Without the id, the hash does not verify either, as if there had been no pepper.
    let stripped = read(&hash.as_str().replace(",keyid=MQ", ""));
    assert!(
        !fast()
            .verify("secret", Some(&stripped))
            .await
            .unwrap()
            .is_match()
    );
}

#[test]
fn parameters_below_the_minimum_do_not_build() {
    let build = |m, t| {
        PasswordService::builder()
            .argon2(Argon2Params::new(m, t, 1))
            .build()
    };
    for (m, t) in [
        (47_104, 1),
        (19_456, 2),
        (12_288, 3),
        (9_216, 4),
        (7_168, 5),
        (65_536, 3),
    ] {
        assert!(build(m, t).is_ok(), "m={m} t={t}");
    }
    for (m, t) in [
        (47_103, 1),
        (19_455, 2),
        (12_287, 3),
        (9_215, 4),
        (7_167, 20),
    ] {
        let refused = build(m, t).unwrap_err().to_string();
        assert!(refused.contains("OWASP minimum"), "m={m} t={t}: {refused}");
    }
}

#[test]
fn debug_shows_no_secret_and_no_hash() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let builder = weak().pepper("1", secret);
    let shown = format!(
        "{builder:?} {:?} {:?}",
        builder.clone().build().unwrap(),
        read(BCRYPT)
    );
    assert!(shown.contains("[redacted]"));
    for hidden in ["0123456789", "48, 49, 50", "abcdefghijkl"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    let verification = Verification::Match {
        rehash: Some(read(BCRYPT)),
    };
    assert!(!format!("{verification:?}").contains("abcdefghijkl"));
}

#[test]
fn futures_and_service_go_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let passwords = PasswordService::new();
    is_shared(&passwords);
    is_send(&passwords.hash("x"));
    is_send(&passwords.verify("x", None));
}
