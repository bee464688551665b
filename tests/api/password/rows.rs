//! Damaged and malicious rows.

use proptest::prelude::*;
use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};

use super::{ARGON2_CFFI, ARGON2_UNICODE, BCRYPT, fast, read, weak};

#[test]
fn a_damaged_hash_is_an_error_and_not_a_mismatch() {
    let good = ARGON2_UNICODE;
    let megabyte = "$argon2id$".to_owned() + &"A".repeat(1 << 20);
    let mut damaged = vec!["$".into(), "hunter2".into(), megabyte, "🔑".repeat(15)];
    for hash in [good, BCRYPT] {
        damaged.extend(
            (1..hash.len())
                .map(|end| hash[..end].to_owned())
                .filter(|cut| {
                    // A tag that is cut at a whole byte is still a tag, but has too few bits to keep.
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
fn a_manipulated_row_cannot_exceed_the_limits() {
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
async fn only_hashes_within_the_memory_budget_are_verified() {
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
    let refused = refused.unwrap();
    assert_eq!(refused.unusable_hash(), Some(&PasswordError::CostTooHigh));
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
    fn whatever_can_be_parsed_can_be_verified(
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
    fn a_password_verifies_only_against_its_own_hash(
        password in "\\PC{1,40}", other in "\\PC{0,40}",
    ) {
        let passwords = weak().normalize_unicode(false).build().unwrap();
        let hash = passwords.hash_blocking(&password).unwrap();
        prop_assert!(passwords.verify_blocking(&password, Some(&hash)).unwrap().is_match());
        let same = passwords.verify_blocking(&other, Some(&hash)).unwrap().is_match();
        prop_assert_eq!(same, password == other);
    }
}
