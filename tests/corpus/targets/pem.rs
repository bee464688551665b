//! Keys in PEM: each key that is read can be written as a JWK and read again.

use tower_jwt_auth::{Algorithm, SigningKey, VerifyingKey};

use super::jwks::check;

/// Reads the text of a PEM file.
pub(super) fn run(data: &[u8]) {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        if let Ok(key) = VerifyingKey::from_pem(algorithm, data) {
            check(&key);
        }
        if let Ok(key) = SigningKey::from_pem(algorithm, data) {
            check(&key.verifying_key());
        }
    }
}
