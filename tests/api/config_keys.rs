//! Keys in the configuration: a public key is never a secret, and `JWT_ALGORITHM` applies to every form of
//! key.

use serde_json::{Value, json};
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, ConfigError, SigningKey, TokenIssuer, VerifyingKey};

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
    let verifier = config(vars)
        .unwrap()
        .verifier_builder()
        .unwrap()
        .build()
        .unwrap();
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
    // Without `alg`, or with another `use`, a secret is still a secret.
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
    // A secret is allowed among previous keys.
    let vars = [
        ("JWT_SECRET", "Zq8Ws3Ed5Rf7Tg9Yh1Uj2Ik4Ol6Pa0Sd8Fg3Hj5Kl7Qw"),
        ("JWT_PREVIOUS_KEYS", &oct.to_string()),
    ];
    assert!(config(&vars).is_ok());
}

#[test]
fn the_algorithm_binds_every_key_of_a_set() {
    let all = [
        Algorithm::RS256,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ];
    let keys: Vec<_> = all.iter().map(|&one| (one, key_of(one))).collect();
    let jwks: Vec<_> = keys
        .iter()
        .map(|(name, key)| jwk_of(key, name.as_str()))
        .collect();
    let jwks = set(&jwks);
    for (due, _) in &keys {
        let vars = [
            ("JWT_PUBLIC_KEY", jwks.as_str()),
            ("JWT_ALGORITHM", due.as_str()),
        ];
        for (name, key) in &keys {
            let token = token_of(key.clone(), name.as_str());
            assert_eq!(
                accepts(&vars, &token),
                name == due,
                "{name} where {due} is due"
            );
            assert!(accepts(&vars[..1], &token), "{name} where nothing is said");
        }
    }
    let text = problem(&[("JWT_PUBLIC_KEY", &jwks), ("JWT_ALGORITHM", "ES384")]);
    assert!(
        text.starts_with("JWT_PUBLIC_KEY: ") && text.contains("ES384"),
        "{text}"
    );
    for name in ["RS256", "PS512", "ES256", "EdDSA"] {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[test]
fn an_rsa_key_without_alg_gets_the_configured_algorithm() {
    let key = key_of(Algorithm::PS256);
    let mut jwk = jwk_of(&key, "r");
    jwk.as_object_mut().unwrap().remove("alg");
    let jwks = set(&[jwk.clone()]);
    let (ps, rs) = (token_of(key, "r"), token_of(key_of(Algorithm::RS256), "r"));
    let vars = [
        ("JWT_PUBLIC_KEY", jwks.as_str()),
        ("JWT_ALGORITHM", "PS256"),
    ];
    assert!(accepts(&vars, &ps) && !accepts(&vars, &rs));
    assert!(accepts(&vars[..1], &rs) && !accepts(&vars[..1], &ps));
    // The same among previous keys, which may also have other algorithms.
    let ec = key_of(Algorithm::ES256);
    let ec_token = token_of(ec.clone(), "e");
    let current = key_of(Algorithm::PS256)
        .verifying_key()
        .with_key_id("current")
        .unwrap();
    let current = current.to_jwk().unwrap().to_string();
    for previous in [set(&[jwk.clone(), jwk_of(&ec, "e")]), jwk.to_string()] {
        let vars = [
            ("JWT_PUBLIC_KEY", current.as_str()),
            ("JWT_ALGORITHM", "PS256"),
            ("JWT_PREVIOUS_KEYS", &previous),
        ];
        assert!(accepts(&vars, &ps) && !accepts(&vars, &rs), "{previous}");
        if previous.contains("keys") {
            assert!(accepts(&vars, &ec_token));
        }
    }
}

#[test]
fn a_set_without_a_usable_key_says_why_for_each_key() {
    let p521 = json!({"kty": "EC", "crv": "P-521", "kid": "one", "x": "AA", "y": "AA"});
    let enc = json!({"kty": "RSA", "use": "enc", "kid": "two", "n": "AQAB", "e": "AQAB"});
    let sets = [
        set(&[p521, enc, json!(7)]),
        include_str!("../field/spiffe-bundle.json").to_owned(),
    ];
    let texts = [
        &["`one`", "P-521", "`two`", "`use` is `enc`", "key 3"][..],
        &["`spiffe-1`", "`use` is `jwt-svid`"],
    ];
    for (keys, expected) in sets.iter().zip(texts) {
        for text in [
            KeySet::from_jwks(keys).unwrap_err().to_string(),
            problem(&[("JWT_PUBLIC_KEY", keys)]),
        ] {
            for part in expected {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
    // Text from outside does not reach a terminal unescaped, however long it is.
    let sly = json!({"kty": "x\u{1b}[31m", "kid": "\n".repeat(5000)});
    let text = KeySet::from_jwks(&set(&vec![sly; 50]))
        .unwrap_err()
        .to_string();
    assert!(
        !text.contains('\u{1b}') && !text.contains("\n\n") && text.len() < 4000,
        "{text}"
    );
}

#[test]
fn two_keys_with_one_id_are_distinguished_or_refused() {
    let (one, two) = (key_of(Algorithm::ES256), key_of(Algorithm::ES256));
    let both = set(&[jwk_of(&one, "k"), jwk_of(&two, "k")]);
    for text in [
        KeySet::from_jwks(&both).unwrap_err().to_string(),
        problem(&[("JWT_PUBLIC_KEY", &both)]),
    ] {
        assert!(text.contains("the key id `k`"), "{text}");
    }
    // The same key twice counts as one.
    let twice = set(&[jwk_of(&one, "k"), jwk_of(&one, "k")]);
    assert_eq!(KeySet::from_jwks(&twice).unwrap().len(), 1);
    let other = set(&[jwk_of(&one, "k"), jwk_of(&key_of(Algorithm::EdDSA), "k")]);
    assert_eq!(KeySet::from_jwks(&other).unwrap().len(), 2);
}

#[test]
fn a_pem_that_was_base64_encoded_again_is_reported() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let public = include_str!("../keys/p256.spki.pem");
    let again = STANDARD.encode(public);
    let wrapped = again
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned());
    let wrapped = wrapped.collect::<Vec<_>>().join("\n");
    for text in [again.as_str(), wrapped.as_str()] {
        for vars in [
            [("JWT_PUBLIC_KEY", text), ("JWT_ALGORITHM", "ES256")],
            [("JWT_PRIVATE_KEY", text), ("JWT_ALGORITHM", "ES256")],
        ] {
            let told = problem(&vars);
            assert!(told.contains("base64 -d"), "{told}");
            assert!(!told.contains(&again[..40]), "{told}");
        }
    }
    let error = VerifyingKey::from_pem(Algorithm::ES256, &again)
        .unwrap_err()
        .to_string();
    assert!(error.contains("base64 -d"), "{error}");
    let previous = [
        ("JWT_SECRET", SECRET),
        ("JWT_PREVIOUS_KEYS", again.as_str()),
    ];
    assert!(problem(&previous).contains("base64 -d"));
    // As a secret, it would sign with a text that anybody can have.
    assert!(problem(&[("JWT_SECRET", again.as_str())]).contains("base64 -d"));
}
