//! New hashes, and the passwords that they are made from.

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{MAX_PASSWORD_BYTES, PasswordAlgorithm, PasswordError};

use super::{fast, matched, read, weak};

#[tokio::test]
async fn a_new_hash_is_argon2id_with_the_default_parameters() {
    // OWASP ASVS 5.0 V11.4.2: parameters, a salt of 128 bits, a tag of 256 bits, all in the string
    let passwords = PasswordService::new();
    let hash = passwords
        .hash("correct horse battery staple")
        .await
        .unwrap();
    assert_eq!(hash.algorithm(), PasswordAlgorithm::Argon2id);
    let fields: Vec<&str> = hash.as_str().split('$').collect();
    assert_eq!(fields[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
    assert_eq!((fields[4].len(), fields[5].len()), (22, 43));
    assert!(!passwords.needs_rehash(&hash));
    let again = passwords
        .verify("correct horse battery staple", Some(&hash))
        .await
        .unwrap();
    assert!(matched(again).is_none());
}

#[tokio::test]
async fn the_same_password_never_gives_the_same_hash() {
    let passwords = fast();
    let (a, b) = tokio::join!(passwords.hash("secret"), passwords.hash("secret"));
    assert_ne!(a.unwrap().as_str(), b.unwrap().as_str());
}

#[tokio::test]
async fn the_whole_password_counts_untrimmed_and_in_its_case() {
    // OWASP ASVS 5.0 V6.2.8: the 73rd byte matters
    let passwords = fast();
    let long = "x".repeat(72);
    for (password, others) in [
        (
            format!("{long}a"),
            [format!("{long}b"), long.clone(), format!("{long}aa")],
        ),
        (
            " Secret ".into(),
            ["Secret".into(), " secret ".into(), " Secret".into()],
        ),
        ("a\0b".into(), ["a".into(), "a\0".into(), "a\0c".into()]),
        ("é".into(), ["è".into(), "e".into(), "É".into()]),
        ("x²".into(), ["x2".into(), "x".into(), "x³".into()]),
    ] {
        let hash = passwords.hash(&password).await.unwrap();
        assert!(
            passwords
                .verify(&password, Some(&hash))
                .await
                .unwrap()
                .is_match()
        );
        for other in others {
            let verification = passwords.verify(&other, Some(&hash)).await.unwrap();
            assert!(
                !verification.is_match(),
                "{other:?} passed for {password:?}"
            );
        }
    }
}

#[tokio::test]
async fn sixty_four_characters_of_four_bytes_are_accepted() {
    // OWASP ASVS 5.0 V6.2.9
    let passwords = fast();
    let password = "🔑".repeat(64);
    let hash = passwords.hash(&password).await.unwrap();
    assert!(
        passwords
            .verify(&password, Some(&hash))
            .await
            .unwrap()
            .is_match()
    );
}

#[tokio::test]
async fn a_password_of_more_than_1024_bytes_is_refused_first() {
    let passwords = weak().make_bcrypt_hashes(4).build().unwrap();
    let long = "x".repeat(MAX_PASSWORD_BYTES + 1);
    let too_long = PasswordError::TooLong { max: 1024 };
    assert_eq!(passwords.hash(&long).await.unwrap_err(), too_long);
    assert_eq!(passwords.verify(&long, None).await.unwrap_err(), too_long);
    let peppered = format!(
        "{},keyid=Nw$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ",
        "$argon2id$v=19$m=64,t=1,p=1"
    );
    let verification = passwords.verify(&long, Some(&read(&peppered))).await;
    assert_eq!(verification.unwrap_err(), too_long);
    let passwords = fast();
    let longest = "x".repeat(MAX_PASSWORD_BYTES);
    let hash = passwords.hash(&longest).await.unwrap();
    assert!(
        passwords
            .verify(&longest, Some(&hash))
            .await
            .unwrap()
            .is_match()
    );
}

#[tokio::test]
async fn an_empty_password_is_not_hashed_but_can_be_verified() {
    let passwords = fast();
    assert_eq!(passwords.hash("").await.unwrap_err(), PasswordError::Empty);
    let hash = passwords.hash("x").await.unwrap();
    assert!(!passwords.verify("", Some(&hash)).await.unwrap().is_match());
    // An old bcrypt hash of "": it matches, and no new hash is made of it.
    let empty = read("$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq");
    assert!(matched(passwords.verify("", Some(&empty)).await.unwrap()).is_none());
}
