//! The same password, typed in two Unicode forms.

use proptest::prelude::*;
use tower_jwt_auth::password::{PasswordError, Verification};
use unicode_normalization::UnicodeNormalization;

use super::{fast, matched, weak};

const NFC: &str = "Zo\u{eb} l\u{f4}st f\u{fc}nf R\u{e4}tsel";
const NFD: &str = "Zoe\u{308} lo\u{302}st fu\u{308}nf Ra\u{308}tsel";

#[tokio::test]
async fn a_password_matches_in_both_forms() {
    let passwords = fast();
    for registered in [NFC, NFD] {
        let hash = passwords.hash(registered).await.unwrap();
        for typed in [NFC, NFD] {
            let judged = passwords.verify(typed, Some(&hash)).await.unwrap();
            assert!(matched(judged).is_none(), "{registered:?} {typed:?}");
        }
    }
}

#[tokio::test]
async fn an_old_hash_of_another_form_is_replaced_at_login() {
    let old = weak().normalize_unicode(false).build().unwrap();
    let hash = old.hash(NFD).await.unwrap();
    let passwords = fast();
    // Until the owner logs in as before, the other form does not match.
    let early = passwords.verify(NFC, Some(&hash)).await.unwrap();
    assert!(matches!(early, Verification::Mismatch));
    let new = matched(passwords.verify(NFD, Some(&hash)).await.unwrap()).unwrap();
    for typed in [NFC, NFD] {
        let judged = passwords.verify(typed, Some(&new)).await.unwrap();
        assert!(matched(judged).is_none());
    }
    assert!(!old.verify(NFD, Some(&new)).await.unwrap().is_match());
}

#[tokio::test]
async fn both_forms_have_the_same_length() {
    let passwords = fast();
    assert_eq!(passwords.char_count(NFC), NFC.chars().count());
    assert_eq!(passwords.char_count(NFD), passwords.char_count(NFC));
    let off = weak().normalize_unicode(false).build().unwrap();
    assert_eq!(off.char_count(NFD), NFD.chars().count());

    // 1024 bytes composed and 1536 decomposed, and one more character of each.
    for (count, is_short) in [(512, true), (513, false)] {
        for e in ["\u{e9}", "e\u{301}"] {
            let hash = passwords.hash(&e.repeat(count)).await;
            assert_eq!(hash.is_ok(), is_short, "{count} {e}");
        }
    }
    let bcrypt = weak().make_bcrypt_hashes(4).build().unwrap();
    assert!(bcrypt.hash(&"e\u{301}".repeat(36)).await.is_ok());
    let error = bcrypt.hash(&"e\u{301}".repeat(37)).await.unwrap_err();
    assert_eq!(error, PasswordError::BcryptTooLong);
}

proptest! {
    #[test]
    fn two_passwords_match_if_their_normal_forms_are_the_same(
        one in "[a-eA-E\u{e9}\u{212b}\u{301}\u{323}\u{1112}\u{1161}\u{11ab}]{1,6}",
    ) {
        let passwords = fast();
        let hash = passwords.hash_blocking(&one).unwrap();
        for form in [one.nfc().collect::<String>(), one.nfd().collect()] {
            prop_assert!(passwords.verify_blocking(&form, Some(&hash)).unwrap().is_match());
        }
        let other = format!("{one}\u{e8}");
        prop_assert!(!passwords.verify_blocking(&other, Some(&hash)).unwrap().is_match());
    }
}
