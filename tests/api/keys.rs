//! Keys and key sets: the formats that are read, the keys that are refused, and how a key is chosen.

use tower_jwt_auth::keys::{KeyLookup, KeySet, KeySource};
use tower_jwt_auth::{
    Algorithm, AuthErrorKind, ConfigError, SigningKey, TokenIssuer, TokenVerifier, VerifyingKey,
};

use crate::support::{SECRET, key};

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name, ".pem"))
    };
}

/// A private and a public PEM document for each asymmetric algorithm.
fn pairs() -> Vec<(Algorithm, &'static str, &'static str)> {
    use Algorithm::*;
    let rsa = (pem!("rsa2048.pkcs8"), pem!("rsa2048.spki"));
    let mut pairs: Vec<_> = [RS256, RS384, RS512, PS256, PS384, PS512]
        .map(|algorithm| (algorithm, rsa.0, rsa.1))
        .to_vec();
    pairs.push((ES256, pem!("p256.pkcs8"), pem!("p256.spki")));
    pairs.push((ES384, pem!("p384.pkcs8"), pem!("p384.spki")));
    pairs.push((EdDSA, pem!("ed25519.pkcs8"), pem!("ed25519.spki")));
    pairs.push((Ed25519, pem!("ed25519.pkcs8"), pem!("ed25519.spki")));
    pairs
}

fn issuer(key: SigningKey) -> TokenIssuer {
    TokenIssuer::builder(key)
        .issuer("me")
        .audience("api")
        .build()
        .unwrap()
}

fn verifier(keys: impl Into<KeySet>) -> TokenVerifier {
    TokenVerifier::builder()
        .keys(keys)
        .issuer("me")
        .audience("api")
        .build()
        .unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let lines: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(lines)
        .unwrap()
}

#[test]
fn every_algorithm_signs_and_verifies_from_pem_der_and_jwk() {
    for (algorithm, private, public) in pairs() {
        let signing = SigningKey::from_pem(algorithm, private).unwrap();
        let from_der = SigningKey::from_der(algorithm, der(private)).unwrap();
        let verifying = VerifyingKey::from_pem(algorithm, public).unwrap();
        let jwk = verifying.to_jwk().unwrap();
        assert_eq!(jwk["alg"], algorithm.as_str());
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["kid"], signing.key_id());
        let all = [
            verifying,
            VerifyingKey::from_der(algorithm, der(public)).unwrap(),
            VerifyingKey::from_jwk(&jwk.to_string()).unwrap(),
            signing.verifying_key(),
        ];
        for signing in [signing, from_der] {
            let token = issuer(signing.clone()).access("alice").issue().unwrap();
            for verifying in &all {
                assert_eq!(verifying.key_id(), signing.key_id(), "{algorithm}");
                let verified = verifier(verifying.clone()).verify_local(&token).unwrap();
                assert_eq!(verified.subject(), Some("alice"), "{algorithm}");
            }
        }
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let signing = SigningKey::generate(algorithm).unwrap();
        let token = issuer(signing.clone()).access("alice").issue().unwrap();
        assert!(
            verifier(signing.verifying_key())
                .verify_local(&token)
                .is_ok()
        );
        assert_eq!(
            signing.verifying_key().to_jwk(),
            None,
            "a secret is never published"
        );
    }
}

#[test]
fn generated_keys_work_and_differ() {
    for algorithm in [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::HS512,
    ] {
        let (one, two) = (
            SigningKey::generate(algorithm).unwrap(),
            SigningKey::generate(algorithm).unwrap(),
        );
        assert_ne!(one.key_id(), two.key_id());
        let token = issuer(one.clone()).access("alice").issue().unwrap();
        assert!(verifier(one.verifying_key()).verify_local(&token).is_ok());
        let error = verifier(two.verifying_key())
            .verify_local(&token)
            .unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::InvalidSignature);
    }
}

#[test]
fn pkcs1_documents_are_read_too() {
    let signing = SigningKey::from_pem(Algorithm::RS256, pem!("rsa2048.pkcs1")).unwrap();
    let verifying = VerifyingKey::from_pem(Algorithm::RS256, pem!("rsa2048.pkcs1-public")).unwrap();
    assert_eq!(signing.key_id(), verifying.key_id());
}

#[test]
fn a_key_of_another_kind_is_refused_with_what_would_be_right() {
    for (algorithm, pem, text) in [
        (
            Algorithm::ES256,
            pem!("p384.spki"),
            "the ES256 key must be a P-256 public key",
        ),
        (
            Algorithm::ES384,
            pem!("p256.spki"),
            "the ES384 key must be a P-384 public key",
        ),
        (
            Algorithm::ES256,
            pem!("secp256k1.spki"),
            "the ES256 key must be a P-256 public key",
        ),
        (
            Algorithm::ES384,
            pem!("p521.spki"),
            "the ES384 key must be a P-384 public key",
        ),
        (
            Algorithm::ES256,
            pem!("ed25519.spki"),
            "the ES256 key must be a P-256 public key",
        ),
        (
            Algorithm::EdDSA,
            pem!("p256.spki"),
            "the EdDSA key must be an Ed25519 public key",
        ),
        (
            Algorithm::RS256,
            pem!("p256.spki"),
            "the RS256 key must be an RSA public key",
        ),
        (
            Algorithm::RS256,
            pem!("rsa1024.spki"),
            "the RSA key must have 2048 to 8192 bits",
        ),
        (
            Algorithm::ES256,
            pem!("p256.certificate"),
            "the ES256 key is a certificate",
        ),
        (
            Algorithm::ES256,
            pem!("p256.pkcs8"),
            "the ES256 key is a private key where a public",
        ),
        (
            Algorithm::RS256,
            pem!("rsa2048.pkcs1"),
            "the RS256 key is a private key where a public",
        ),
        (
            Algorithm::HS256,
            pem!("rsa2048.spki"),
            "the HS256 key is a PEM document where a secret",
        ),
        (Algorithm::RS256, "", "the RS256 key is empty"),
        (
            Algorithm::RS256,
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "the RS256",
        ),
    ] {
        let error = VerifyingKey::from_pem(algorithm, pem)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(text), "{algorithm}: {error}");
    }
    for (algorithm, pem, text) in [
        (
            Algorithm::ES256,
            pem!("p384.pkcs8"),
            "the ES256 key must be a P-256 private key",
        ),
        (
            Algorithm::ES256,
            pem!("p256.sec1"),
            "the ES256 key is in SEC 1 form: convert it with",
        ),
        (
            Algorithm::ES256,
            pem!("p256.encrypted"),
            "the ES256 key is encrypted: decrypt it with",
        ),
        (
            Algorithm::ES256,
            pem!("p256.spki"),
            "the ES256 key is a public key where a private key is expected",
        ),
        (
            Algorithm::RS256,
            pem!("rsa2048.spki"),
            "the RS256 key is a public key where a private key is expected",
        ),
        (
            Algorithm::EdDSA,
            pem!("rsa2048.pkcs8"),
            "the EdDSA key must be an Ed25519 private key",
        ),
    ] {
        let error = SigningKey::from_pem(algorithm, pem)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(text), "{algorithm}: {error}");
    }
}

#[test]
fn random_bytes_are_refused_without_a_panic() {
    let noise: Vec<u8> = (0..2000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for algorithm in Algorithm::ALL {
        for length in [0, 1, 31, 32, 65, 97, 300, 2000] {
            assert!(VerifyingKey::from_der(algorithm, &noise[..length]).is_err());
            assert!(SigningKey::from_der(algorithm, &noise[..length]).is_err());
            assert!(VerifyingKey::from_pem(algorithm, &noise[..length]).is_err());
        }
    }
}

#[test]
fn jwks_are_read_strictly() {
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let okp = |more: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#);
    for good in [
        "",
        r#","alg":"EdDSA""#,
        r#","alg":"Ed25519","use":"sig""#,
        r#","key_ops":["verify"]"#,
    ] {
        assert!(VerifyingKey::from_jwk(&okp(good)).is_ok(), "{good}");
    }
    let long = format!(r#","kid":"{}""#, "k".repeat(257));
    for bad in [
        r#","alg":"ES256""#,
        r#","alg":"none""#,
        r#","alg":"RS256""#,
        r#","use":"enc""#,
        r#","key_ops":["sign"]"#,
        r#","key_ops":[]"#,
        r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#,
        r#","kid":"""#,
        r#","kid":5"#,
        &long,
    ] {
        assert!(VerifyingKey::from_jwk(&okp(bad)).is_err(), "{bad}");
    }
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"kty":"OKP","crv":"Ed25519"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#,
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"RSA","n":"!!!","e":"AQAB"}"#,
        r#"{"kty":"oct","k":"AAAA"}"#,
        r#"{"kty":"oct","k":"AAAA","alg":"HS256"}"#,
        r#"{"kty":"oct","k":"AAAA","alg":"RS256"}"#,
    ] {
        assert!(VerifyingKey::from_jwk(bad).is_err(), "{bad}");
        assert!(SigningKey::from_jwk(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_private_jwk_signs_and_a_mismatched_one_is_refused() {
    // RFC 8037 appendix A.1
    let private = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;
    let key = SigningKey::from_jwk(private).unwrap();
    assert_eq!((key.key_id(), key.algorithm()), ("a", Algorithm::EdDSA));
    let token = issuer(key.clone()).access("alice").issue().unwrap();
    assert!(verifier(key.verifying_key()).verify_local(&token).is_ok());

    let other = private.replace("11qYAYKx", "22qYAYKx");
    assert!(SigningKey::from_jwk(&other).is_err());
    let public = private.replace(r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","#, "");
    assert!(SigningKey::from_jwk(&public).is_err());
}

#[test]
fn one_odd_key_never_harms_the_others() {
    let good = key_named("good").to_jwk().unwrap();
    let odd = [
        r#"{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","alg":"ES256K","kid":"k","x":"AA","y":"AA"}"#,
        r#"{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"RSA","n":5,"e":null}"#,
        "{}",
        "7",
        "null",
        r#""text""#,
    ];
    let set = format!(r#"{{"keys":[{},{good}],"more":1}}"#, odd.join(","));
    let set = KeySet::from_jwks(&set).unwrap();
    assert_eq!((set.len(), set.skipped()), (1, odd.len()));
    assert_eq!(set.to_jwks()["keys"][0], good);

    assert_eq!(
        KeySet::from_jwks(r#"{"keys":[]}"#).unwrap_err(),
        ConfigError::NoKeys
    );
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[}"#] {
        assert!(KeySet::from_jwks(bad).is_err(), "{bad}");
    }
}

fn key_named(kid: &str) -> VerifyingKey {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    key.verifying_key().with_key_id(kid).unwrap()
}

#[test]
fn a_key_is_chosen_by_id_and_algorithm_and_never_tried() {
    let es = key_named("a");
    let same_id = VerifyingKey::from_pem(Algorithm::EdDSA, pem!("ed25519.spki"))
        .unwrap()
        .with_key_id("a")
        .unwrap();
    let set = KeySet::new([es, key_named("b"), same_id]).unwrap();
    let find = |kid, alg| match set.find(kid, alg) {
        KeyLookup::Found(key) => format!("{} {}", key.key_id(), key.algorithm()),
        KeyLookup::UnknownKey => "unknown".into(),
        KeyLookup::UnsupportedAlgorithm => "unsupported".into(),
        KeyLookup::Ambiguous => "ambiguous".into(),
        KeyLookup::OtherAlgorithm => "other".into(),
        _ => unreachable!(),
    };
    assert_eq!(find(Some("a"), "ES256"), "a ES256");
    assert_eq!(find(Some("a"), "EdDSA"), "a EdDSA"); // one id, distinguished by the algorithm
    assert_eq!(find(Some("b"), "EdDSA"), "other");
    assert_eq!(find(Some("c"), "ES256"), "unknown");
    assert_eq!(find(None, "ES256"), "ambiguous"); // two fit
    assert_eq!(find(None, "EdDSA"), "a EdDSA"); // one fits
    for alg in ["none", "HS256", "es256", "RS256", ""] {
        assert_eq!(find(None, alg), "unsupported", "{alg}");
    }
    for kid in ["'; DROP TABLE keys; --", "../../etc/passwd", "\0", "a\0"] {
        assert_eq!(find(Some(kid), "ES256"), "unknown");
    }
}

#[test]
fn a_single_key_without_an_id_serves_any_key_id() {
    let foreign = key().with_key_id("what the issuer calls it").unwrap();
    let token = issuer(foreign).access("alice").issue().unwrap();
    let plain = VerifyingKey::hs256(SECRET).unwrap();
    assert!(verifier(plain.clone()).verify_local(&token).is_ok());

    let declared = plain.with_key_id("mine").unwrap();
    let error = verifier(declared).verify_local(&token).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::UnknownKey);
}

#[test]
fn two_keys_with_one_id_are_refused() {
    let error = KeySet::new([key_named("a"), key_named("a")]).unwrap_err();
    assert_eq!(error, ConfigError::DuplicateKeyId("a".into()));
    assert_eq!(KeySet::new([]).unwrap_err(), ConfigError::NoKeys);
}

#[test]
fn a_previous_key_still_verifies_and_a_removed_one_does_not() {
    let old = SigningKey::generate(Algorithm::HS256).unwrap();
    let token = issuer(old.clone()).access("alice").issue().unwrap();
    let rotated = TokenIssuer::builder(SigningKey::generate(Algorithm::HS256).unwrap())
        .issuer("me")
        .audience("api");
    let with_old = rotated
        .clone()
        .previous_key(old.verifying_key())
        .build()
        .unwrap();
    assert!(with_old.verifier().verify_local(&token).is_ok());
    assert!(
        with_old
            .verifier()
            .verify_local(&with_old.access("bob").issue().unwrap())
            .is_ok()
    );
    assert!(
        rotated
            .build()
            .unwrap()
            .verifier()
            .verify_local(&token)
            .is_err()
    );
}

#[test]
fn debug_shows_no_key() {
    let text = format!(
        "{:?} {:?} {:?}",
        key(),
        key().verifying_key(),
        KeySet::from(key().verifying_key())
    );
    let secret = format!("{SECRET:?}");
    assert!(
        !text.contains(&secret[1..20]) && text.contains("key_id"),
        "{text}"
    );
}

#[test]
fn low_order_points_are_not_accepted_as_keys() {
    use base64::Engine as _;
    for y in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let bytes: Vec<u8> = (0..32)
            .map(|i| u8::from_str_radix(&y[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        assert!(VerifyingKey::from_jwk(&jwk).is_err(), "{y}");
    }
}

#[test]
fn impossible_rsa_numbers_are_refused() {
    let key = VerifyingKey::from_pem(Algorithm::RS256, pem!("rsa2048.spki")).unwrap();
    let jwk = key.to_jwk().unwrap();
    let with = |member: &str, value: &str| {
        let mut jwk = jwk.clone();
        jwk[member] = value.into();
        VerifyingKey::from_jwk(&jwk.to_string()).is_ok()
    };
    assert!(with("e", "AQAB") && with("e", "Aw"));
    for e in ["AA", "AQ", "Ag", "BA", "AQAA", "__________8"] {
        assert!(!with("e", e), "{e}");
    }
    let n = jwk["n"].as_str().unwrap();
    let even = format!("{}A", &n[..n.len() - 1]);
    assert!(!with("n", &even));
}

#[tokio::test]
async fn a_source_is_asked_to_learn_only_of_keys_that_might_exist() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct Source(KeySet, Arc<AtomicUsize>);
    impl KeySource for Source {
        fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
            self.0.find(key_id, algorithm)
        }
        async fn refresh(&self, _: Option<&str>) -> Result<(), tower_jwt_auth::AuthError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Err(AuthErrorKind::Unavailable.into())
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Source(key().verifying_key().into(), Arc::clone(&asked));
    let verifier = TokenVerifier::builder()
        .key_source(source)
        .issuer("me")
        .audience("api")
        .clock(tower_jwt_auth::clock::ManualClock::at_unix_seconds(
            crate::support::NOW,
        ))
        .build()
        .unwrap();
    let claims = crate::support::claims("");
    let kind = async |header: &str| {
        let token = crate::support::signed(header, &claims);
        verifier
            .verify(&token)
            .await
            .map(drop)
            .map_err(|error| error.kind())
    };
    let unsupported = Err(AuthErrorKind::UnsupportedAlgorithm);
    for alg in ["none", "nonsense", "RS256"] {
        assert_eq!(
            kind(&format!(r#"{{"alg":"{alg}"}}"#)).await,
            unsupported,
            "{alg}"
        );
    }
    assert_eq!(kind(r#"{"alg":"HS256"}"#).await, Ok(()));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // The source is unavailable: the token might be valid.
    assert_eq!(
        kind(r#"{"alg":"HS256","kid":"new"}"#).await,
        Err(AuthErrorKind::Unavailable)
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // The key may have been replaced by another one with the same id, or without an id.
    let claims = crate::support::claims("");
    let other = b"Zq8Ws3Ed5Rf7Tg9Yh1Uj2Ik4Ol6Pa0Sd8Fg3Hj5Kl7Qw";
    let forged = crate::support::signed_with(other, r#"{"alg":"HS256"}"#, claims);
    let error = verifier.verify(&forged).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let error = verifier.verify_local(&forged).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::InvalidSignature);
}
