//! A file in which a key is replaced by another one with the same id.

use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::keys::KeySource;
use tower_jwt_auth::{Algorithm, AuthErrorKind, KeyRing, SigningKey, TokenIssuer, TokenVerifier};

use crate::key_ring_support::{Folder, write};
use crate::support::NOW;

const SECRETS: [&str; 2] = [
    "H0oXk3vVbqk1mT9h2sYc7Zr5Lw8eNfUdJg4pAiQxB6M",
    "pAiQxB6MH0oXk3vVbqk1mT9h2sYc7Zr5Lw8eNfUdJg4",
];

/// The text of a file with one key with the id `site`, and a token signed with it.
fn site(algorithm: Algorithm, secret: &str) -> (String, String) {
    let token = |key: SigningKey| {
        let tokens = TokenIssuer::builder(key).issuer("me").audience("api");
        let tokens = tokens.clock(ManualClock::at_unix_seconds(NOW)).build();
        tokens.unwrap().access("alice").issue().unwrap()
    };
    if algorithm.is_symmetric() {
        let jwk = json!({"kty": "oct", "alg": algorithm, "kid": "site", "k": secret});
        let key = SigningKey::from_jwk(&jwk.to_string()).unwrap();
        return (json!({ "keys": [jwk] }).to_string(), token(key));
    }
    let folder = Folder::new();
    write(
        &folder.file(),
        json!({ "keys": [json!({"kty": "oct", "alg": "HS256", "kid": "x", "k": secret})] })
            .to_string(),
    );
    let ring = KeyRing::from_file(folder.file()).unwrap();
    let key = SigningKey::generate(algorithm).unwrap();
    let key = key.with_key_id("site").unwrap();
    ring.add(&key, std::time::UNIX_EPOCH).unwrap();
    ring.remove("x").unwrap();
    (std::fs::read_to_string(folder.file()).unwrap(), token(key))
}

#[tokio::test]
async fn a_key_replaced_in_the_file_counts_without_a_watcher() {
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA] {
        let (before, old) = site(algorithm, SECRETS[0]);
        let (after, new) = site(algorithm, SECRETS[1]);
        let folder = Folder::new();
        write(&folder.file(), before);
        let ring = KeyRing::from_file(folder.file()).unwrap();
        let verifier = TokenVerifier::builder()
            .key_source(ring.clone())
            .issuer("me")
            .audience("api")
            .clock(ManualClock::at_unix_seconds(NOW))
            .build()
            .unwrap();
        for _ in 0..5 {
            assert!(verifier.verify(&old).await.is_ok());
        }
        assert_eq!(
            verifier.verify(&new).await.unwrap_err().kind(),
            AuthErrorKind::InvalidSignature
        );
        assert!(ring.health().unwrap().changed.is_empty());
        write(&folder.file(), &after);
        // Forged tokens cause at most one check per second.
        let passes = async {
            while verifier.verify(&new).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), passes).await;
        assert!(waited.is_ok(), "{algorithm}");
        assert_eq!(
            verifier.verify(&old).await.unwrap_err().kind(),
            AuthErrorKind::InvalidSignature
        );
        let health = ring.health().unwrap();
        assert_eq!(health.changed.len(), 1);
        assert_eq!(health.changed[0].key_id, "site");
    }
}

#[tokio::test]
async fn with_an_unreadable_file_a_bad_signature_is_a_503() {
    let (text, good) = site(Algorithm::EdDSA, SECRETS[0]);
    let forged = site(Algorithm::EdDSA, SECRETS[0]).1;
    let folder = Folder::new();
    write(&folder.file(), text);
    let ring = KeyRing::from_file(folder.file()).unwrap();
    let verifier = TokenVerifier::builder()
        .key_source(ring)
        .issuer("me")
        .audience("api")
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap();
    write(&folder.file(), "{");
    for _ in 0..3 {
        assert_eq!(verifier.verify(&forged).await.unwrap_err().status(), 503);
        assert!(verifier.verify(&good).await.is_ok());
    }
}
