//! bcrypt: its 72 bytes, its NUL bytes, and services that make bcrypt hashes.

use tower_jwt_auth::password::{PasswordAlgorithm, PasswordError};

use super::{BCRYPT, BCRYPT_LONG, fast, matched, read, weak};

#[tokio::test]
async fn bcrypt_is_optional_and_refuses_more_than_72_bytes() {
    let passwords = weak().make_bcrypt_hashes(4).build().unwrap();
    let whole = "x".repeat(72);
    let hash = passwords.hash(&whole).await.unwrap();
    assert_eq!(
        (hash.algorithm(), &hash.as_str()[..7]),
        (PasswordAlgorithm::Bcrypt, "$2b$04$")
    );
    assert!(matched(passwords.verify(&whole, Some(&hash)).await.unwrap()).is_none());
    let longer = passwords.hash(&"x".repeat(73)).await;
    assert_eq!(longer.unwrap_err(), PasswordError::BcryptTooLong);
    assert_eq!(
        passwords.hash("a\0b").await.unwrap_err(),
        PasswordError::NulByte
    );
    assert!(!passwords.verify("x", None).await.unwrap().is_match());
}

#[tokio::test]
async fn a_bcrypt_service_raises_the_cost_and_keeps_argon2_hashes() {
    let passwords = weak().make_bcrypt_hashes(5).build().unwrap();
    let new = matched(
        passwords
            .verify("correct horse", Some(&read(BCRYPT)))
            .await
            .unwrap(),
    );
    assert!(new.unwrap().as_str().starts_with("$2b$05$"));
    let argon2 = fast().hash("secret").await.unwrap();
    assert!(matched(passwords.verify("secret", Some(&argon2)).await.unwrap()).is_none());
    // The password matches. That bcrypt cannot hash it again is not an error.
    let long = "x".repeat(73);
    assert!(
        matched(
            passwords
                .verify(&long, Some(&read(BCRYPT_LONG)))
                .await
                .unwrap()
        )
        .is_none()
    );
}

#[tokio::test]
async fn an_old_bcrypt_hash_is_replaced_by_one_of_the_whole_password() {
    let passwords = fast();
    let typed = "x".repeat(100);
    let new = matched(
        passwords
            .verify(&typed, Some(&read(BCRYPT_LONG)))
            .await
            .unwrap(),
    )
    .unwrap();
    assert_eq!(new.algorithm(), PasswordAlgorithm::Argon2id);
    assert!(
        passwords
            .verify(&typed, Some(&new))
            .await
            .unwrap()
            .is_match()
    );
    assert!(
        !passwords
            .verify(&"x".repeat(99), Some(&new))
            .await
            .unwrap()
            .is_match()
    );
}

#[tokio::test]
async fn a_nul_byte_never_opens_a_bcrypt_account() {
    let passwords = fast();
    for password in [
        "correct horse\0",
        "correct horse\0correct horse",
        "\0",
        "correct horse\0x",
    ] {
        let verification = passwords
            .verify(password, Some(&read(BCRYPT)))
            .await
            .unwrap();
        assert!(!verification.is_match(), "{password:?}");
    }
}
