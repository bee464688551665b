//! Passwords by the public API. The ids in comments are those of the security checklist
//! (OWASP ASVS 5.0 as `V`, the OWASP password storage cheat sheet as `O`, NIST 800-63B as `N`).

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tower_jwt_auth::password::{
    Argon2Params, MAX_PASSWORD_BYTES, PasswordAlgorithm, PasswordConfigError, PasswordError,
    PasswordHash, PasswordService, PasswordServiceBuilder, Verification,
};

/// "correct horse" by libxcrypt and by Python's bcrypt 5.0.0.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

/// 72 and 100 times "x" by libxcrypt.
const BCRYPT_LONG: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";

/// "pässwörd🔑" with the default parameters, by argon2-cffi 25.1.0.
const ARGON2_UNICODE: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw";

/// "correct horse" by `argon2.PasswordHasher().hash()` of argon2-cffi 25.1.0.
const ARGON2_CFFI: &str = "$argon2id$v=19$m=65536,t=3,p=4$l6p/GcdsJ+VjewaCzQYLqA$LxoTqDAvzrLVsZVo1Cy9Nhb4Q2PRjc0SY4qbR7q73QY";

/// "password", from the test file of the reference implementation (phc-winner-argon2, test.c).
const ARGON2_REFERENCE: [&str; 5] = [
    "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
    "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg",
];

/// "correct horse" by the low-level interface of argon2-cffi 25.1.0.
const ARGON2D: &str =
    "$argon2d$v=19$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$q8GmWt1VhoIHx6jP1k9sV3hz6bB9V2QssUGRU1eOj/k";

const KEY: &[u8] = &[1; 32];
const OLD_KEY: &[u8] = &[2; 32];

/// Fast parameters: what is tested here does not hang on their strength.
fn weak() -> PasswordServiceBuilder {
    PasswordService::builder()
        .argon2(Argon2Params::new(64, 1, 1))
        .dangerous_weak_parameters()
}

fn fast() -> PasswordService {
    weak().build().unwrap()
}

fn read(stored: &str) -> PasswordHash {
    PasswordHash::parse(stored).unwrap()
}

/// The rehash of a match.
#[track_caller]
fn matched(verification: Verification) -> Option<PasswordHash> {
    match verification {
        Verification::Match { rehash } => rehash,
        Verification::Mismatch => panic!("it does not match"),
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

// === making ===

#[tokio::test]
async fn a_new_hash_is_argon2id_in_the_phc_format_with_the_default_parameters() {
    // V11.4.2, O07, N11: parameters, a salt of 128 bits, a tag of 256 bits, all in the string
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
    // N11
    let passwords = fast();
    let (a, b) = tokio::join!(passwords.hash("secret"), passwords.hash("secret"));
    assert_ne!(a.unwrap().as_str(), b.unwrap().as_str());
}

#[tokio::test]
async fn the_whole_password_counts_untrimmed_and_unfolded() {
    // V6.2.8, N07: the 73rd byte matters
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
        ("é".into(), ["e\u{301}".into(), "e".into(), "É".into()]),
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
    // V6.2.9
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
async fn a_password_of_more_than_1024_bytes_is_refused_before_anything_else() {
    // O09
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
async fn an_empty_password_is_not_hashed_but_judged_by_the_stored_hash() {
    let passwords = fast();
    assert_eq!(passwords.hash("").await.unwrap_err(), PasswordError::Empty);
    let hash = passwords.hash("x").await.unwrap();
    assert!(!passwords.verify("", Some(&hash)).await.unwrap().is_match());
    // An old bcrypt hash of "": it matches, and no new hash is made of it.
    let empty = read("$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq");
    assert!(matched(passwords.verify("", Some(&empty)).await.unwrap()).is_none());
}

// === verifying what others made ===

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
fn a_stronger_hash_than_the_policy_is_left_alone() {
    let passwords = PasswordService::new();
    assert!(!passwords.needs_rehash(&read(ARGON2_CFFI)));
    assert!(!passwords.needs_rehash(&read(ARGON2_UNICODE)));
    for weaker in ARGON2_REFERENCE.iter().chain(&[ARGON2D, BCRYPT]) {
        assert!(passwords.needs_rehash(&read(weaker)), "{weaker}");
    }
}

#[tokio::test]
async fn a_weaker_hash_is_replaced_by_one_of_the_policy() {
    // O12
    let stronger = weak().argon2(Argon2Params::new(128, 2, 1)).build().unwrap();
    let old = fast().hash("secret").await.unwrap();
    let new = matched(stronger.verify("secret", Some(&old)).await.unwrap()).unwrap();
    assert!(new.as_str().starts_with("$argon2id$v=19$m=128,t=2,p=1$"));
    assert!(matched(stronger.verify("secret", Some(&new)).await.unwrap()).is_none());
    // ... and back under the weaker policy it stays.
    assert!(matched(fast().verify("secret", Some(&new)).await.unwrap()).is_none());
    // A wrong password replaces nothing.
    let wrong = stronger.verify("wrong", Some(&old)).await.unwrap();
    assert!(matches!(wrong, Verification::Mismatch));
}

// === bcrypt ===

#[tokio::test]
async fn bcrypt_is_made_only_when_asked_for_and_never_of_more_than_72_bytes() {
    // O10
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
async fn a_service_that_makes_bcrypt_raises_the_cost_and_leaves_argon2_alone() {
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
    // The password matches; that bcrypt cannot hash it again is no error.
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
async fn an_old_bcrypt_hash_of_a_longer_password_verifies_and_is_replaced_by_the_whole() {
    // O10, N07
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

// === migration ===

/// The users' table, with the one statement that a rehash needs.
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
    // O12
    let (passwords, table) = (fast(), Table::default());
    table.0.lock().unwrap().insert("ada".into(), BCRYPT.into());

    // Two logins read the old row at the same time; both are good, one of them stores its hash.
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

// === damaged and hostile rows ===

#[test]
fn a_damaged_hash_is_an_error_and_not_a_mismatch() {
    let good = ARGON2_UNICODE;
    let megabyte = "$argon2id$".to_owned() + &"A".repeat(1 << 20);
    let mut damaged = vec![
        String::new(),
        "$".into(),
        "hunter2".into(),
        megabyte,
        "🔑".repeat(15),
    ];
    for hash in [good, BCRYPT] {
        damaged.extend(
            (1..hash.len())
                .map(|end| hash[..end].to_owned())
                .filter(|cut| {
                    // A tag cut at a whole number of bytes is a tag still, of too few bits to keep.
                    PasswordHash::parse(cut).is_err() || !cut.starts_with(&good[..60])
                }),
        );
        damaged.extend(["\n", " ", "$", "=", "$x"].map(|tail| format!("{hash}{tail}")));
        damaged.push(format!(" {hash}"));
        damaged.push(hash.replace('$', "€"));
    }
    for (from, to) in [
        ("MDEyMzQ1", "MDEy!zQ1"),
        ("MDEyMzQ1", "MDEy€zQ1"),
        ("v=19$m=19456,t=2,p=1", "v=19$m=19456,t=2"),
        ("v=19$m=19456,t=2,p=1", "v=19$t=2,m=19456,p=1"),
        ("v=19$m=19456,t=2,p=1", "v=19"),
        ("p=1", "p=1,data=AAAA"),
        ("p=1", "p=1,keyid=A"),
        ("p=1", "p=1,keyid=MQ,x=1"),
        ("p=1", "p=0"),
        ("t=2", "t=0"),
        ("m=19456", "m=7"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEy"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", ""),
        ("ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw", "ylRUog"),
        ("ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw", ""),
    ] {
        damaged.push(good.replace(from, to));
    }
    for hash in damaged {
        let shown: String = hash.chars().take(120).collect();
        match PasswordHash::parse(&hash) {
            Err(PasswordError::InvalidHash { .. }) => {}
            Err(PasswordError::UnsupportedAlgorithm) => assert!(hash.len() < 14, "{shown}"),
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_verified_is_named_as_unsupported() {
    for hash in [
        &BCRYPT.replace("$2b$", "$2x$"),
        "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
        "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        &ARGON2_UNICODE.replace("v=19", "v=20"),
    ] {
        assert_eq!(
            PasswordHash::parse(hash).unwrap_err(),
            PasswordError::UnsupportedAlgorithm
        );
    }
}

#[test]
fn a_poisoned_row_cannot_ask_for_more_than_the_caps() {
    for (from, to) in [
        ("m=19456", "m=1048577"),
        ("m=19456", "m=4294967295"),
        ("m=19456", "m=99999999999"),
        ("t=2", "t=21"),
        ("t=2", "t=4294967295"),
        ("p=1", "p=17"),
        ("p=1", "p=4294967295"),
    ] {
        let hash = ARGON2_UNICODE.replace(from, to);
        assert_eq!(
            PasswordHash::parse(&hash).unwrap_err(),
            PasswordError::CostTooHigh,
            "{to}"
        );
    }
    let at_the_caps = ARGON2_UNICODE.replace("m=19456,t=2,p=1", "m=1048576,t=20,p=16");
    assert!(PasswordHash::parse(&at_the_caps).is_ok());
    assert!(PasswordHash::parse(&BCRYPT.replace("$04$", "$16$")).is_ok());
    let dear = BCRYPT.replace("$04$", "$17$");
    assert_eq!(
        PasswordHash::parse(&dear).unwrap_err(),
        PasswordError::CostTooHigh
    );
}

#[tokio::test]
async fn a_hash_over_the_memory_budget_is_refused_and_one_within_it_is_not() {
    let passwords = weak()
        .memory_budget(65_536 * 1024)
        .workers(1)
        .build()
        .unwrap();
    assert!(
        passwords
            .verify("correct horse", Some(&read(ARGON2_CFFI)))
            .await
            .unwrap()
            .is_match()
    );
    let passwords = weak()
        .memory_budget(65_535 * 1024)
        .workers(1)
        .build()
        .unwrap();
    let refused = passwords
        .verify("correct horse", Some(&read(ARGON2_CFFI)))
        .await;
    assert_eq!(refused.unwrap_err(), PasswordError::CostTooHigh);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = PasswordHash::parse(&text);
    }

    #[test]
    fn nothing_like_a_hash_makes_the_parser_or_the_service_panic(
        text in r"\$(argon2(id|i|d)|2[abxy])(\$v=(16|19|\PC))?\$(m=[0-9]{1,2},t=[1-3],p=[0-9]|[0-9]{2})(,keyid=\PC{0,8})?(\$\PC{0,60}|\$[./A-Za-z0-9]{22,53}){0,3}",
    ) {
        if let Ok(hash) = PasswordHash::parse(&text) {
            prop_assert_eq!(hash.as_str(), &text);
        }
    }

    #[test]
    fn whatever_can_be_read_can_be_judged(
        kind in "(id|i|d)", version in "(v=16|v=19)", lanes in 1u32..9, passes in 1u32..4,
        more in 0u32..70, salt in "([./A-Za-z0-9]{4}){3,21}", tag in "([A-Za-z0-9]{4}){4,21}",
        password in "\\PC{0,20}",
    ) {
        let memory = 8 * lanes + more;
        let salt = salt.replace('.', "+");
        let text = format!("$argon2{kind}${version}$m={memory},t={passes},p={lanes}${salt}${tag}");
        let stored = PasswordHash::parse(&text).unwrap();
        let judged = fast().verify_blocking(&password, Some(&stored));
        prop_assert!(matches!(judged, Ok(Verification::Mismatch)), "{text}: {judged:?}");
    }

    #[test]
    fn one_changed_byte_is_never_a_panic(at in 0usize..100, to in any::<char>()) {
        for hash in [ARGON2_UNICODE, BCRYPT] {
            let text: String =
                hash.char_indices().map(|(i, c)| if i == at { to } else { c }).collect();
            let _ = PasswordHash::parse(&text);
        }
    }

    #[test]
    fn any_password_verifies_against_its_own_hash_alone(
        password in "\\PC{1,40}", other in "\\PC{0,40}",
    ) {
        let passwords = fast();
        let hash = passwords.hash_blocking(&password).unwrap();
        prop_assert!(passwords.verify_blocking(&password, Some(&hash)).unwrap().is_match());
        let same = passwords.verify_blocking(&other, Some(&hash)).unwrap().is_match();
        prop_assert_eq!(same, password == other);
    }
}

// === peppers ===

#[tokio::test]
async fn a_pepper_is_rotated_without_losing_a_login() {
    // O11, N11
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
    let unknown = last.verify("secret", Some(&old)).await;
    assert_eq!(unknown.unwrap_err(), PasswordError::UnknownPepper);
    assert_eq!(
        bare.verify("secret", Some(&new)).await.unwrap_err(),
        PasswordError::UnknownPepper
    );

    // Given up again: the pepper is a previous one, and there is no new one.
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
    // Nor does the hash without its id, as if there had been no pepper.
    let stripped = read(&hash.as_str().replace(",keyid=MQ", ""));
    assert!(
        !fast()
            .verify("secret", Some(&stripped))
            .await
            .unwrap()
            .is_match()
    );
}

// === configuration ===

#[test]
fn parameters_under_the_floor_do_not_start() {
    // O07
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
        assert_eq!(
            build(m, t).unwrap_err(),
            PasswordConfigError::BelowFloor,
            "m={m} t={t}"
        );
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

// === load ===

/// Slow enough to be seen at work, on one worker.
fn slow() -> PasswordServiceBuilder {
    weak().argon2(Argon2Params::new(65_536, 10, 1)).workers(1)
}

#[tokio::test]
async fn overload_is_answered_at_once_with_a_time_to_come_back() {
    let passwords = slow().queue_limit(1).build().unwrap();
    let (mut running, mut waiting) = (Box::pin(passwords.hash("a")), Box::pin(passwords.hash("b")));
    assert!(poll_once(running.as_mut()).is_pending());
    assert!(poll_once(waiting.as_mut()).is_pending());
    let Poll::Ready(refused) = poll_once(Box::pin(passwords.hash("c")).as_mut()) else {
        panic!("a third found a place");
    };
    let retry_after = Duration::from_secs(2);
    assert_eq!(
        refused.unwrap_err(),
        PasswordError::Overloaded { retry_after }
    );
    assert!(running.await.is_ok());
}

#[tokio::test]
async fn whoever_waits_too_long_is_turned_away() {
    let passwords = slow().max_wait(Duration::from_millis(100)).build().unwrap();
    let (first, second) = tokio::join!(passwords.hash("a"), passwords.hash("b"));
    assert!(first.is_ok());
    let retry_after = Duration::from_secs(1);
    assert_eq!(
        second.unwrap_err(),
        PasswordError::Overloaded { retry_after }
    );
    assert!(passwords.hash("c").await.is_ok());
}

#[tokio::test]
async fn a_dropped_request_frees_no_worker_while_it_computes() {
    let passwords = slow().queue_limit(0).build().unwrap();
    // On a busy machine the work may not have started yet, or be done already: then once more.
    for _ in 0..10 {
        let mut running = Box::pin(passwords.hash("a"));
        assert!(poll_once(running.as_mut()).is_pending());
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(running);
        if let Err(error) = passwords.verify("b", None).await {
            return assert!(matches!(error, PasswordError::Overloaded { .. }), "{error}");
        }
    }
    panic!("a dropped request freed its worker each time");
}

#[tokio::test]
async fn many_logins_at_a_time_are_all_judged_rightly() {
    let passwords = weak().queue_limit(1000).build().unwrap();
    let hash = passwords.hash("secret").await.unwrap();
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (passwords, hash) = (passwords.clone(), hash.clone());
        logins.spawn(async move {
            let password = if number % 2 == 0 { "secret" } else { "wrong" };
            let judged = passwords.verify(password, Some(&hash)).await.unwrap();
            assert_eq!(judged.is_match(), number % 2 == 0);
        });
    }
    logins.join_all().await;
}

#[tokio::test]
async fn hashing_leaves_the_async_thread_free() {
    // On the one thread of this runtime, a hash and a clock go on together.
    let passwords = slow().build().unwrap();
    let mut hash = Box::pin(passwords.hash("a"));
    let mut ticks = 0;
    let mut clock = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            made = &mut hash => break assert!(made.is_ok()),
            _ = clock.tick() => ticks += 1,
        }
    }
    assert!(ticks > 5, "{ticks}");
}

#[test]
fn the_blocking_twins_need_no_runtime_and_keep_to_the_same_limits() {
    let passwords = fast();
    let hash = passwords.hash_blocking("secret").unwrap();
    assert!(
        passwords
            .verify_blocking("secret", Some(&hash))
            .unwrap()
            .is_match()
    );
    assert!(
        !passwords
            .verify_blocking("wrong", Some(&hash))
            .unwrap()
            .is_match()
    );
    assert!(
        !passwords
            .verify_blocking("secret", None)
            .unwrap()
            .is_match()
    );

    let passwords = slow().queue_limit(0).build().unwrap();
    let mut running = Box::pin(passwords.hash("a"));
    assert!(poll_once(running.as_mut()).is_pending());
    let refused = passwords.hash_blocking("b");
    assert!(matches!(refused, Err(PasswordError::Overloaded { .. })));
}

#[tokio::test]
async fn the_blocking_twins_do_not_panic_inside_a_runtime() {
    let passwords = weak().max_wait(Duration::MAX).build().unwrap();
    assert!(passwords.hash_blocking("secret").is_ok());
}

#[test]
fn the_async_methods_need_no_tokio_runtime() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let passwords = fast();
    let mut future = Box::pin(passwords.hash("secret"));
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let hash = loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(hash) => break hash,
            Poll::Pending => std::thread::park(),
        }
    };
    assert!(hash.is_ok());
}

#[test]
fn an_unknown_user_takes_the_time_of_a_known_one() {
    let passwords = weak()
        .argon2(Argon2Params::new(4096, 2, 1))
        .build()
        .unwrap();
    let hash = passwords.hash_blocking("secret").unwrap();
    let time = |stored: Option<&PasswordHash>| {
        let start = Instant::now();
        assert!(
            !passwords
                .verify_blocking("wrong", stored)
                .unwrap()
                .is_match()
        );
        start.elapsed()
    };
    time(None);
    let ratio = || {
        // In turns, so that whatever else the machine does falls on both; and the fourth best,
        // which it disturbs least.
        let (mut known, mut unknown): (Vec<_>, Vec<_>) =
            (0..31).map(|_| (time(Some(&hash)), time(None))).unzip();
        known.sort();
        unknown.sort();
        known[3].as_secs_f64() / unknown[3].as_secs_f64()
    };
    // Work that is left out is left out in every round; a busy machine is quiet in some.
    let ratios: Vec<f64> = (0..5).map(|_| ratio()).collect();
    assert!(
        ratios.iter().any(|ratio| (0.75..1.33).contains(ratio)),
        "{ratios:?}"
    );
}
