//! The work that a login takes, counted in hashes: it must not reveal which users exist.

use std::mem::take;

use crate::password::params::Argon2Params;
use crate::password::policy::Work;

use super::*;

const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

/// Hashes that cost too much, have an unknown pepper, cannot be parsed, or are empty.
const UNUSABLE: [&str; 9] = [
    "",
    "!",
    "*",
    "hunter2",
    "$6$salt$tag",
    "pbkdf2_sha256$1$c2FsdA$dGFn",
    "$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ",
    "$argon2id$v=19$m=1048576,t=1,p=1$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ",
    "$argon2id$v=19$m=64,t=1,p=1,keyid=Nw$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ",
];

fn weak() -> PasswordServiceBuilder {
    PasswordService::builder()
        .argon2(Argon2Params::new(64, 1, 1))
        .dangerous_weak_parameters()
}

/// Returns the outcome for `row`, and the hashes that were computed for it.
fn judge(
    passwords: &PasswordService,
    password: &str,
    row: Option<&str>,
) -> (Verification, Vec<Work>) {
    let judged = passwords.verify_stored_blocking(password, row).unwrap();
    (judged, work_of(passwords))
}

fn work_of(passwords: &PasswordService) -> Vec<Work> {
    take(&mut *passwords.inner.policy.work.lock().unwrap())
}

#[test]
fn an_unusable_row_costs_what_a_wrong_password_costs() {
    for (passwords, one) in [
        (weak().build().unwrap(), Work::Argon2(64)),
        (
            weak().make_bcrypt_hashes(4).build().unwrap(),
            Work::Bcrypt(4),
        ),
    ] {
        let row = passwords.hash_blocking("secret").unwrap();
        assert_eq!(work_of(&passwords), [one]);
        let (wrong, work) = judge(&passwords, "wrong", Some(row.as_str()));
        assert!(matches!(wrong, Verification::Mismatch));
        assert_eq!(work, [one]);
        assert_eq!(judge(&passwords, "wrong", None).1, [one]);
        for row in UNUSABLE {
            let (judged, work) = judge(&passwords, "wrong", Some(row));
            assert!(judged.unusable_hash().is_some(), "{row}");
            assert_eq!(work, [one], "{row}");
        }
    }
}

#[test]
fn a_parsed_hash_that_is_unusable_costs_the_same() {
    let passwords = weak().build().unwrap();
    for row in &UNUSABLE[7..] {
        let hash = PasswordHash::parse(row).unwrap();
        let judged = passwords.verify_blocking("wrong", Some(&hash)).unwrap();
        assert!(judged.unusable_hash().is_some(), "{row}");
        assert_eq!(work_of(&passwords), [Work::Argon2(64)], "{row}");
    }
}

#[test]
fn a_rehash_costs_one_hash_more() {
    let passwords = weak().build().unwrap();
    let (judged, work) = judge(&passwords, "correct horse", Some(BCRYPT));
    assert!(judged.is_match());
    assert_eq!(work, [Work::Bcrypt(4), Work::Argon2(64)]);
}

/// Typed in decomposed form, and composed.
const NFD: &str = "violet u\u{308}ber";
const NFC: &str = "violet \u{fc}ber";

#[test]
fn a_second_password_form_costs_the_same_for_every_row() {
    let passwords = weak().build().unwrap();
    let one = Work::Argon2(64);
    let row = passwords.hash_blocking("secret").unwrap();
    work_of(&passwords);
    let rows = UNUSABLE
        .map(Some)
        .into_iter()
        .chain([None, Some(row.as_str())]);
    for row in rows {
        assert_eq!(judge(&passwords, NFC, row).1, [one], "{row:?}");
        assert_eq!(judge(&passwords, NFD, row).1, [one, one], "{row:?}");
    }
    let off = weak().normalize_unicode(false).build().unwrap();
    for row in [None, Some("!"), Some(row.as_str())] {
        assert_eq!(judge(&off, NFD, row).1, [one], "{row:?}");
    }
}

#[test]
fn a_custom_verifier_runs_in_addition_to_a_hash() {
    let passwords = weak()
        .other_hashes(|password, stored| match stored.strip_prefix("toy$")? {
            "panic" => panic!("on purpose"),
            right => Some(right == password),
        })
        .build()
        .unwrap();
    let one = Work::Argon2(64);
    for row in ["toy$secret", "toy$panic", "of nobody", "!"] {
        assert_eq!(judge(&passwords, "wrong", Some(row)).1, [one], "{row}");
        assert_eq!(judge(&passwords, NFD, Some(row)).1, [one, one], "{row}");
    }
    let (judged, work) = judge(&passwords, "secret", Some("toy$secret"));
    assert!(judged.is_match());
    assert_eq!(work, [one]);
}
