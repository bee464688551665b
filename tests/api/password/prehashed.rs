//! bcrypt hashes of a digest of the password, as Django and passlib store them: the hash that replaces one is
//! of the password that was typed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{PasswordAlgorithm, Verification};

use super::{matched, weak};

const PASSWORD: &str = "violet anchor on a slow train";

const DJANGO: &str = "bcrypt_sha256$$2b$10$c.pCbBBEeKDrHURUqYhpmevUpKILFkalrVjD3CUjk9gWp10MOpFJe";

const PASSLIB: &str =
    "$bcrypt-sha256$v=2,t=2b,r=10$zdLGkEKM4.ug0GNY0H5WDO$hKEts5jZDDMCCri.HmkAfqI4puNS7bS";

/// The input that Django passes to bcrypt.
fn django_digest(password: &str) -> String {
    let digest = Sha256::digest(password);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn django(password: &str, stored: &str) -> Option<bool> {
    let hash = stored.strip_prefix("bcrypt_sha256$")?;
    bcrypt::verify(django_digest(password), hash).ok()
}

/// The input that passlib passes to bcrypt.
fn passlib_digest(password: &str, salt: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).unwrap();
    mac.update(password.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn passlib(password: &str, stored: &str) -> Option<bool> {
    let rest = stored.strip_prefix("$bcrypt-sha256$v=2,t=2b,r=")?;
    let (cost, rest) = rest.split_once('$')?;
    let (salt, tag) = rest.split_once('$')?;
    let hash = format!("$2b${cost}${salt}{tag}");
    bcrypt::verify(passlib_digest(password, salt), &hash).ok()
}

fn passwords() -> PasswordService {
    let builder = weak().other_hashes(django).other_hashes(passlib);
    builder.build().unwrap()
}

#[tokio::test]
async fn a_rehash_is_of_the_password_and_not_of_its_digest() {
    let passwords = passwords();
    let digests = [
        django_digest(PASSWORD),
        passlib_digest(PASSWORD, "zdLGkEKM4.ug0GNY0H5WDO"),
    ];
    for row in [DJANGO, PASSLIB] {
        let judged = passwords.verify_stored(PASSWORD, Some(row)).await.unwrap();
        let new = matched(judged).unwrap();
        assert_eq!(new.algorithm(), PasswordAlgorithm::Argon2id);
        let new = Some(new.as_str());
        let again = passwords.verify_stored(PASSWORD, new).await.unwrap();
        assert!(matched(again).is_none());
        for digest in &digests {
            for row in [Some(row), new] {
                let judged = passwords.verify_stored(digest, row).await.unwrap();
                assert!(matches!(judged, Verification::Mismatch), "{row:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_replaces_nothing() {
    for row in [DJANGO, PASSLIB] {
        let judged = passwords().verify_stored("wrong", Some(row)).await.unwrap();
        assert!(matches!(judged, Verification::Mismatch), "{row}");
    }
}

#[tokio::test]
async fn a_rehash_after_a_verifier_is_of_the_normal_form() {
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
    let bcrypt = bcrypt::hash(django_digest(decomposed), 4).unwrap();
    let row = format!("bcrypt_sha256${bcrypt}");
    let passwords = passwords();
    let early = passwords.verify_stored(composed, Some(&row)).await.unwrap();
    assert!(matches!(early, Verification::Mismatch));
    let judged = passwords.verify_stored(decomposed, Some(&row)).await;
    let new = matched(judged.unwrap()).unwrap();
    for typed in [composed, decomposed] {
        let judged = passwords.verify_stored(typed, Some(new.as_str())).await;
        assert!(matched(judged.unwrap()).is_none());
    }
}

#[tokio::test]
async fn a_hash_of_a_digest_is_not_mistaken_for_bcrypt() {
    let passwords = super::fast();
    for row in [DJANGO, PASSLIB] {
        for typed in [PASSWORD, &django_digest(PASSWORD)] {
            let judged = passwords.verify_stored(typed, Some(row)).await.unwrap();
            assert!(judged.unusable_hash().is_some(), "{row}");
        }
    }
}
