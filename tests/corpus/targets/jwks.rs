//! Keys and sets of keys as JSON: a key that was read, written and read again is the same, has no private
//! member, and has the thumbprint that `jsonwebtoken` computes.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use serde_json::Value;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{SigningKey, VerifyingKey};

use super::signer::HS256;

/// Reads the JSON of a key, or of a set of keys.
pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = HS256.algorithm; // installs the provider
    if let Ok(key) = VerifyingKey::from_jwk(text) {
        check(&key);
    }
    if let Ok(key) = SigningKey::from_jwk(text) {
        check(&key.verifying_key());
    }
    let sets = [KeySet::from_jwks(text), KeySet::from_spiffe_bundle(text)];
    for set in sets.iter().flatten() {
        check_set(text, set);
    }
}

fn check_set(text: &str, set: &KeySet) {
    // A member that nobody reads may contain half of a surrogate pair, which is valid JSON (RFC 8259 section
    // 8.2), but cannot be a `String`.
    let Ok(document) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
        return;
    };
    let count = document["keys"].as_array().unwrap().len();
    assert_eq!(set.len() + set.skipped(), count);
    assert!(!set.is_empty());
    let mut names = Vec::new();
    for key in set.iter() {
        check(key);
        let name = (key.key_id(), key.algorithm());
        assert!(!names.contains(&name), "{name:?} twice");
        names.push(name);
    }
    let written = set.to_jwks();
    let public = written["keys"].as_array().unwrap().len();
    match KeySet::from_jwks(&written.to_string()) {
        Ok(again) => {
            assert_eq!((again.len(), again.skipped()), (public, 0));
            assert_eq!(again.to_jwks(), written);
        }
        Err(error) => assert_eq!(public, 0, "{error}"),
    }
}

pub(super) fn check(key: &VerifyingKey) {
    let Some(jwk) = key.to_jwk() else {
        assert!(key.algorithm().is_symmetric());
        return;
    };
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert!(jwk.get(private).is_none(), "{private}");
    }
    let text = jwk.to_string();
    let again = VerifyingKey::from_jwk(&text).unwrap();
    assert_eq!(again.key_id(), key.key_id());
    assert_eq!(again.algorithm(), key.algorithm());
    assert_eq!(again.to_jwk(), Some(jwk));
    let theirs: Jwk = serde_json::from_str(&text).unwrap();
    DecodingKey::from_jwk(&theirs).unwrap();
    // The id of a key without `kid` is the thumbprint.
    let mut unnamed: Value = serde_json::from_str(&text).unwrap();
    unnamed.as_object_mut().unwrap().remove("kid");
    let unnamed = VerifyingKey::from_jwk(&unnamed.to_string()).unwrap();
    let thumbprint = theirs.thumbprint(ThumbprintHash::SHA256).unwrap();
    assert_eq!(unnamed.key_id(), thumbprint);
}
