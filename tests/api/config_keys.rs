//! Keys of a configuration: a public key is public, and `JWT_ALGORITHM` binds every form of it.

use serde_json::{Value, json};
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::keys::{Algorithm, KeySet, VerifyingKey};
use tower_jwt_auth::{ConfigError, SigningKey, TokenIssuer};

const SECRET: &str = "r7Kq2VnXw9pLzT4mYc8JdH5bGs1NfQe3AuRiZoWk6tM0";
const RSA: &str = include_str!("../keys/rsa2048.pkcs8.pem");

fn config(more: &[(&str, &str)]) -> Result<AuthConfig, ConfigError> {
    let base = [("JWT_ISSUER", "me"), ("JWT_AUDIENCE", "api")];
    AuthConfig::from_vars(base.iter().chain(more).copied())
}

fn problem(more: &[(&str, &str)]) -> String {
    config(more).unwrap_err().to_string()
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn key_of(algorithm: Algorithm) -> SigningKey {
    match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::PS512 => {
            SigningKey::from_pem(algorithm, RSA).unwrap()
        }
        other => SigningKey::generate(other).unwrap(),
    }
}

fn jwk_of(key: &SigningKey, kid: &str) -> Value {
    let key = key.verifying_key().with_key_id(kid).unwrap();
    key.to_jwk().unwrap()
}

fn token_of(key: SigningKey, kid: &str) -> String {
    let issuer = TokenIssuer::builder(key.with_key_id(kid).unwrap());
    let issuer = issuer.issuer("me").audience("api").build().unwrap();
    issuer.access("alice").issue().unwrap()
}

fn accepts(vars: &[(&str, &str)], token: &str) -> bool {
    let verifier = config(vars).unwrap().verifier().unwrap().build().unwrap();
    verifier.verify_local(token).is_ok()
}

#[test]
fn a_symmetric_key_is_never_taken_for_a_public_one() {
    let oct = json!({"kty": "oct", "alg": "HS256", "kid": "s", "k": SECRET});
    let ec = jwk_of(&key_of(Algorithm::ES256), "e");
    for keys in [
        oct.to_string(),
        set(std::slice::from_ref(&oct)),
        set(&[ec.clone(), oct.clone()]),
    ] {
        for algorithm in [None, Some("HS256"), Some("ES256")] {
            let mut vars = vec![("JWT_PUBLIC_KEY", keys.as_str())];
            vars.extend(algorithm.map(|name| ("JWT_ALGORITHM", name)));
            let text = problem(&vars);
            assert!(
                text.contains("JWT_PUBLIC_KEY") && text.contains("symmetric"),
                "{text}"
            );
            assert!(
                text.contains("JWT_SECRET") && !text.contains(SECRET),
                "{text}"
            );
        }
    }
    // Without its `alg`, or meant for something else, a secret is still one.
    for more in [
        json!({"kty": "oct", "k": SECRET}),
        json!({"kty": "oct", "use": "enc", "k": "AA"}),
    ] {
        let text = problem(&[("JWT_PUBLIC_KEY", &set(&[ec.clone(), more]))]);
        assert!(text.contains("symmetric"), "{text}");
    }
    let text = problem(&[("JWT_PRIVATE_KEY", &oct.to_string())]);
    assert!(
        text.contains("JWT_PRIVATE_KEY") && text.contains("symmetric"),
        "{text}"
    );
    // Among previous keys a secret has its place.
    let vars = [
        ("JWT_SECRET", "Zq8Ws3Ed5Rf7Tg9Yh1Uj2Ik4Ol6Pa0Sd8Fg3Hj5Kl7Qw"),
        ("JWT_PREVIOUS_KEYS", &oct.to_string()),
    ];
    assert!(config(&vars).is_ok());
}
