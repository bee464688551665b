//! The configuration from variables: what is read, what is refused, and what is built from it.

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{Algorithm, ConfigError, SigningKey};

const SECRET: &str = "r7Kq2VnXw9pLzT4mYc8JdH5bGs1NfQe3AuRiZoWk6tM0";
const BASE: [(&str, &str); 2] = [("JWT_ISSUER", "me"), ("JWT_AUDIENCE", "api")];

fn config(more: &[(&str, &str)]) -> Result<AuthConfig, ConfigError> {
    AuthConfig::from_vars(BASE.iter().chain(more).copied())
}

fn problem(more: &[(&str, &str)]) -> String {
    config(more).unwrap_err().to_string()
}

#[test]
fn the_longest_access_lifetime_holds_for_issuer_and_verifier() {
    let with = |vars: &[(&'static str, &'static str)]| {
        config(&[&[("JWT_SECRET", SECRET), ("JWT_AUDIENCE", "api")], vars].concat())
    };
    let long = with(&[("JWT_MAX_ACCESS_TTL", "28800")]).unwrap();
    let hours = std::time::Duration::from_secs(28_800);
    let tokens = long.issuer_builder().unwrap().build().unwrap();
    assert_eq!(tokens.max_access_ttl(), hours);
    let token = tokens.access("alice").ttl(hours).issue().unwrap();
    assert!(tokens.verifier().verify_local(&token).is_ok());
    assert!(
        long.verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );

    let short = with(&[("JWT_ACCESS_TTL", "300")]).unwrap();
    let verifiers = [
        short.issuer_builder().unwrap().build().unwrap().verifier(),
        short.verifier_builder().unwrap().build().unwrap(),
    ];
    for verifier in verifiers {
        assert!(
            verifier.verify_local(&token).is_err(),
            "issued before it was shortened"
        );
    }
    let below = with(&[("JWT_MAX_ACCESS_TTL", "60")])
        .unwrap_err()
        .to_string();
    assert!(
        below.contains("JWT_MAX_ACCESS_TTL (60) is below"),
        "{below}"
    );
}

#[test]
fn a_secret_makes_an_issuer_and_its_verifier() {
    let config = config(&[
        ("JWT_SECRET", SECRET),
        ("JWT_ACCESS_TTL", "60"),
        ("JWT_REFRESH_TTL", "120"),
        ("JWT_AUDIENCE", "api, admin"),
        ("JWT_KEY_ID", "k1"),
        ("JWT_LEEWAY", "0"),
    ])
    .unwrap();
    let tokens = config.issuer_builder().unwrap().build().unwrap();
    let pair = tokens.pair("alice").issue().unwrap();
    assert_eq!((pair.expires_in, pair.refresh_expires_in), (60, 120));
    let verified = config
        .verifier_builder()
        .unwrap()
        .build()
        .unwrap()
        .verify_local(&pair.access_token)
        .unwrap();
    assert_eq!(verified.issuer(), Some("me"));
    assert!(verified.payload().contains(r#""aud":["api","admin"]"#));
    let header =
        tower_jwt_auth::dangerous::decode_unverified::<serde_json::Value>(&pair.access_token);
    assert_eq!(header.unwrap().key_id(), Some("k1"));
}

#[test]
fn all_problems_are_reported_at_once_with_variable_and_fix() {
    let error = AuthConfig::from_vars([
        ("JWT_SECRET", "short"),
        ("JWT_ALGORITHM", "HS256"),
        ("JWT_ACCESS_TTL", "15m"),
        ("JWT_REFRESH_TTL", "0"),
        ("JWT_LEEWAY", "301"),
        ("JWT_PREVIOUS_KEYS_FILE", "/nonexistent/keys"),
        ("PASSWORD_MEMORY_KIB", "-1"),
    ])
    .unwrap_err();
    let text = error.to_string();
    for part in [
        "JWT_ACCESS_TTL must be a whole number of seconds",
        "JWT_REFRESH_TTL must be 1 second to 100 years",
        "JWT_LEEWAY must be at most 300 seconds",
        "JWT_PREVIOUS_KEYS_FILE: the file /nonexistent/keys cannot be read",
        "PASSWORD_MEMORY_KIB must be a whole number of KiB",
        "JWT_ISSUER is not set, or empty: set it to",
        "JWT_AUDIENCE is not set, or empty: set it to",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert!(matches!(error, ConfigError::Multiple(problems) if problems.len() >= 7));
}

#[test]
fn each_problem_of_a_key_names_its_variable() {
    let pem = include_str!("../keys/p256.spki.pem");
    let private = include_str!("../keys/p256.pkcs8.pem");
    for (vars, text) in [
        (
            &[][..],
            "there is no key: set JWT_SECRET (make one with `openssl rand",
        ),
        (
            &[("JWT_SECRET", "short")],
            "JWT_SECRET: the HMAC secret has 5 bytes",
        ),
        (
            &[("JWT_SECRET", "please-change-me-please-change-me-1234")],
            "JWT_SECRET: the HMAC secret is a placeholder",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "none")],
            "JWT_ALGORITHM: `none` is not",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "HS512")],
            "JWT_SECRET: the HMAC secret has 44",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS256")],
            "JWT_SECRET: the RS256 key cannot be a secret",
        ),
        (
            &[("JWT_SECRET", pem)],
            "JWT_SECRET: the HS256 key is a PEM or JWK document",
        ),
        (
            &[("JWT_PRIVATE_KEY", private)],
            "a PEM key needs JWT_ALGORITHM",
        ),
        (
            &[("JWT_PRIVATE_KEY", private), ("JWT_ALGORITHM", "EdDSA")],
            "JWT_PRIVATE_KEY: the EdDSA key must be",
        ),
        (
            &[("JWT_PRIVATE_KEY", "x"), ("JWT_ALGORITHM", "ES256")],
            "JWT_PRIVATE_KEY: the ES256 key is not PEM",
        ),
        (
            &[("JWT_PUBLIC_KEY", private), ("JWT_ALGORITHM", "ES256")],
            "JWT_PUBLIC_KEY: the ES256 key is a private key",
        ),
        (
            &[("JWT_PUBLIC_KEY", "{}")],
            "JWT_PUBLIC_KEY: the JSON Web key",
        ),
        (
            &[("JWT_PUBLIC_KEY", "{\"keys\":[]}")],
            "JWT_PUBLIC_KEY: there is no key",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_PUBLIC_KEY", pem)],
            "JWT_SECRET, JWT_PRIVATE_KEY and JWT_PUBLIC_KEY exclude",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_SECRET_FILE", "x")],
            "JWT_SECRET and JWT_SECRET_FILE are both set",
        ),
        (
            &[("JWT_SECRET_FILE", "/nonexistent")],
            "JWT_SECRET_FILE: the file /nonexistent cannot be read",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_PREVIOUS_KEYS", "short")],
            "JWT_PREVIOUS_KEYS: the HMAC secret has 5",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_PREVIOUS_KEYS", SECRET)],
            "JWT_PREVIOUS_KEYS: two keys have the key id",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_KEY_ID", &"k".repeat(300))],
            "JWT_KEY_ID: a key id (`kid`) must have 1 to 256",
        ),
    ] {
        let problem = problem(vars);
        assert!(problem.contains(text), "{text} in: {problem}");
        assert!(
            !problem.contains(SECRET) && !problem.contains("MFkw"),
            "{problem}"
        );
    }
}

#[test]
fn a_public_key_verifies_but_cannot_issue() {
    let private = include_str!("../keys/p256.pkcs8.pem");
    let public = include_str!("../keys/p256.spki.pem");
    let issuing = config(&[("JWT_PRIVATE_KEY", private), ("JWT_ALGORITHM", "ES256")]).unwrap();
    let tokens = issuing.issuer_builder().unwrap().build().unwrap();
    let token = tokens.access("alice").issue().unwrap();
    let key = tower_jwt_auth::VerifyingKey::from_pem(Algorithm::ES256, public).unwrap();
    let jwk = key.to_jwk().unwrap().to_string();
    let jwks = format!(r#"{{"keys":[{jwk}]}}"#);
    for vars in [
        &[("JWT_PUBLIC_KEY", public), ("JWT_ALGORITHM", "ES256")][..],
        &[
            ("JWT_PUBLIC_KEY", &public.replace('\n', "\\n")),
            ("JWT_ALGORITHM", "ES256"),
        ],
        &[("JWT_PUBLIC_KEY", &jwk)],
        &[("JWT_PUBLIC_KEY", &jwks)],
    ] {
        let config = config(vars).unwrap();
        assert!(!config.can_issue());
        let verifier = config.verifier_builder().unwrap().build().unwrap();
        assert_eq!(
            verifier.verify_local(&token).unwrap().subject(),
            Some("alice")
        );
        let error = config.issuer_builder().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no key to sign with: set JWT_SECRET, JWT_PRIVATE_KEY or JWT_KEY_RING_FILE"
        );
    }
}

#[test]
fn keys_are_read_from_files_and_trimmed() {
    let folder = std::env::temp_dir().join(format!("tower-jwt-auth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("secret");
    crate::key_ring_support::write(&path, format!("  {SECRET}\n\n"));
    let from_file = config(&[("JWT_SECRET_FILE", path.to_str().unwrap())]).unwrap();
    let direct = config(&[("JWT_SECRET", SECRET)]).unwrap();
    let token = from_file
        .issuer_builder()
        .unwrap()
        .build()
        .unwrap()
        .access("alice")
        .issue()
        .unwrap();
    assert!(
        direct
            .verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
    std::fs::write(&path, "\n").unwrap();
    assert!(problem(&[("JWT_SECRET_FILE", path.to_str().unwrap())]).contains("is empty"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn previous_keys_still_verify() {
    let old = "Zq8Ws3Ed5Rf7Tg9Yh1Uj2Ik4Ol6Pa0Sd8Fg3Hj5Kl7Qw";
    let issue = |vars: &[(&str, &str)]| {
        config(vars)
            .unwrap()
            .issuer_builder()
            .unwrap()
            .build()
            .unwrap()
            .access("alice")
            .issue()
            .unwrap()
    };
    let unnamed = issue(&[("JWT_SECRET", old)]);
    let named = issue(&[("JWT_SECRET", old), ("JWT_KEY_ID", "2024")]);
    let verifies = |previous: &str, token: &str| {
        let config = config(&[("JWT_SECRET", SECRET), ("JWT_PREVIOUS_KEYS", previous)]).unwrap();
        config
            .issuer_builder()
            .unwrap()
            .build()
            .unwrap()
            .verifier()
            .verify_local(token)
            .is_ok()
            && config
                .verifier_builder()
                .unwrap()
                .build()
                .unwrap()
                .verify_local(token)
                .is_ok()
    };
    assert!(verifies(old, &unnamed));
    assert!(verifies(&format!("kid=2024:{old}"), &named));
    assert!(verifies(&format!("\nkid=2024:{old}\n{old}  "), &named));

    let es = [
        ("JWT_PRIVATE_KEY", include_str!("../keys/p256.pkcs8.pem")),
        ("JWT_ALGORITHM", "ES256"),
    ];
    let token = issue(&es);
    let previous = include_str!("../keys/p256.spki.pem");
    let config = config(&[
        ("JWT_SECRET", SECRET),
        (
            "JWT_PREVIOUS_KEYS",
            &format!(
                r#"{{"keys":[{}]}}"#,
                tower_jwt_auth::VerifyingKey::from_pem(Algorithm::ES256, previous)
                    .unwrap()
                    .to_jwk()
                    .unwrap()
            ),
        ),
    ])
    .unwrap();
    assert!(
        config
            .verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
}

#[cfg(feature = "password")]
#[test]
fn password_costs_can_be_set_but_not_below_the_minimum() {
    let costs = |memory, passes| {
        [
            ("JWT_SECRET", SECRET),
            ("PASSWORD_MEMORY_KIB", memory),
            ("PASSWORD_ITERATIONS", passes),
        ]
    };
    let service = config(&costs("20480", "3"))
        .unwrap()
        .password_service()
        .unwrap();
    let hash = service
        .hash_blocking("correct horse battery staple")
        .unwrap();
    assert!(
        hash.as_str().starts_with("$argon2id$v=19$m=20480,t=3,p=1$"),
        "{}",
        hash.as_str()
    );
    let problem = problem(&costs("1024", "1"));
    assert!(
        problem.starts_with("PASSWORD_MEMORY_KIB, PASSWORD_ITERATIONS"),
        "{problem}"
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let vars = [
        ("JWT_SECRET", SECRET),
        ("JWT_ALGORITHM", ""),
        ("JWT_PUBLIC_KEY", " "),
    ];
    assert!(config(&vars).is_ok());
}

#[test]
fn any_configuration_library_can_fill_it() {
    let json = serde_json::json!({
        "secret": SECRET, "issuer": "me", "audience": "api", "access_ttl": 60,
    });
    let config: AuthConfig = serde_json::from_value(json).unwrap();
    config.validate().unwrap();
    assert!(config.issuer_builder().unwrap().build().is_ok());

    let unknown = serde_json::json!({ "sekret": SECRET });
    assert!(serde_json::from_value::<AuthConfig>(unknown).is_err());
    let empty: AuthConfig = serde_json::from_str("{}").unwrap();
    assert!(matches!(empty.validate(), Err(ConfigError::Multiple(_))));
}

#[test]
fn debug_shows_no_secret() {
    let debug = format!("{:?}", config(&[("JWT_SECRET", SECRET)]).unwrap());
    assert!(
        !debug.contains(SECRET) && debug.contains("[redacted]"),
        "{debug}"
    );
}

#[test]
fn a_development_configuration_works_and_differs_each_time() {
    let (one, two) = (
        AuthConfig::development().unwrap(),
        AuthConfig::development().unwrap(),
    );
    let token = one
        .issuer_builder()
        .unwrap()
        .build()
        .unwrap()
        .access("alice")
        .issue()
        .unwrap();
    assert!(
        one.verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
    assert!(
        two.verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_err()
    );
}

#[test]
fn every_pem_block_is_a_key_with_any_line_endings() {
    let es = include_str!("../keys/p256.spki.pem");
    let rsa = include_str!("../keys/rsa2048.pkcs1-public.pem");
    let both = format!("{rsa}{}", include_str!("../keys/rsa2048.spki.pem"));
    let vars = [
        ("JWT_ALGORITHM", "RS256"),
        ("JWT_PUBLIC_KEY", rsa),
        ("JWT_PREVIOUS_KEYS", &both),
    ];
    assert!(
        problem(&vars).contains("two keys have the key id"),
        "the same key, read twice"
    );
    let one_bad = format!("{rsa}{es}");
    let vars = [("JWT_ALGORITHM", "RS256"), ("JWT_PUBLIC_KEY", &one_bad)];
    assert!(
        problem(&vars).contains("JWT_PUBLIC_KEY: the RS256 key must be"),
        "none is passed over"
    );
    let escaped = es.replace('\n', "\\r\\n");
    assert!(config(&[("JWT_ALGORITHM", "ES256"), ("JWT_PUBLIC_KEY", &escaped)]).is_ok());
    let windows = es.replace('\n', "\r\n");
    assert!(config(&[("JWT_ALGORITHM", "ES256"), ("JWT_PUBLIC_KEY", &windows)]).is_ok());
}

#[test]
fn a_secret_may_contain_a_colon() {
    let old = "Zp:9xQ7vK2mW4tR8yB1nC6jH3gF5dS0aLeUiO";
    let before = config(&[("JWT_SECRET", old)])
        .unwrap()
        .issuer_builder()
        .unwrap()
        .build()
        .unwrap();
    let token = before.access("alice").issue().unwrap();
    let after = config(&[("JWT_SECRET", SECRET), ("JWT_PREVIOUS_KEYS", old)]).unwrap();
    assert!(
        after
            .verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
    assert!(problem(&[("JWT_SECRET", &format!("{SECRET} {old}"))]).contains("white space"));
}

#[test]
fn one_bad_key_variable_does_not_hide_the_others() {
    let text = problem(&[
        ("JWT_ALGORITHM", "HS999"),
        ("JWT_SECRET", "short"),
        ("JWT_PREVIOUS_KEYS", "shorter"),
        ("JWT_KEY_ID", &"k".repeat(300)),
    ]);
    for part in [
        "JWT_ALGORITHM: `HS999`",
        "JWT_SECRET: the HMAC secret has 5",
        "JWT_PREVIOUS_KEYS: the HMAC secret has 7",
        "JWT_KEY_ID: a key id (`kid`) must",
    ] {
        assert!(text.contains(part), "{part} in: {text}");
    }
    assert!(problem(&[("JWT_SECRET", "\u{fffd}abc")]).contains("JWT_SECRET is not UTF-8"));
}

#[test]
fn the_algorithm_of_a_jwk_is_completed_and_not_contradicted() {
    let key = include_str!("../keys/rsa2048.spki.pem");
    let key = tower_jwt_auth::VerifyingKey::from_pem(Algorithm::RS256, key);
    let mut jwk = key.unwrap().to_jwk().unwrap();
    let contradiction = [
        ("JWT_ALGORITHM", "PS256"),
        ("JWT_PUBLIC_KEY", &jwk.to_string()),
    ];
    assert!(problem(&contradiction).contains("JWT_ALGORITHM is PS256, but the key is for RS256"));
    jwk.as_object_mut().unwrap().remove("alg");
    let jwk = jwk.to_string();
    let vars = [
        ("JWT_ALGORITHM", "PS256"),
        ("JWT_PUBLIC_KEY", &jwk),
        ("JWT_KEY_ID", "mine"),
    ];
    let debug = format!("{:?}", config(&vars).unwrap().verifier_builder().unwrap());
    assert!(debug.contains("PS256") && debug.contains("mine"), "{debug}");
}

#[test]
fn a_previous_key_of_another_algorithm_may_have_the_same_id() {
    let es = [
        ("JWT_PRIVATE_KEY", include_str!("../keys/p256.pkcs8.pem")),
        ("JWT_ALGORITHM", "ES256"),
        ("JWT_KEY_ID", "main"),
    ];
    let before = config(&es)
        .unwrap()
        .issuer_builder()
        .unwrap()
        .build()
        .unwrap();
    let token = before.access("alice").issue().unwrap();
    let key = include_str!("../keys/p256.spki.pem");
    let key = tower_jwt_auth::VerifyingKey::from_pem(Algorithm::ES256, key);
    let jwk = key
        .unwrap()
        .with_key_id("main")
        .unwrap()
        .to_jwk()
        .unwrap()
        .to_string();
    let vars = [
        ("JWT_SECRET", SECRET),
        ("JWT_KEY_ID", "main"),
        ("JWT_PREVIOUS_KEYS", &jwk),
    ];
    let after = config(&vars).unwrap();
    let issuer = after.issuer_builder().unwrap().build().unwrap();
    assert!(issuer.verifier().verify_local(&token).is_ok());
    assert!(
        after
            .verifier_builder()
            .unwrap()
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
    assert!(
        issuer
            .verifier()
            .verify_local(&issuer.access("alice").issue().unwrap())
            .is_ok()
    );
}

#[tokio::test]
async fn a_key_ring_file_is_created_shared_and_watched() {
    let folder = crate::key_ring_file::Folder::new();
    let path = folder.file();
    let vars = |more: &[(&'static str, &'static str)]| {
        let mut vars = vec![
            ("JWT_KEY_RING_FILE", path.to_str().unwrap().to_owned()),
            ("JWT_ISSUER", "me".to_owned()),
            ("JWT_AUDIENCE", "api".to_owned()),
        ];
        vars.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        AuthConfig::from_vars(vars)
    };
    let missing = vars(&[]).unwrap_err().to_string();
    assert!(
        missing.starts_with("JWT_KEY_RING_FILE: the key file "),
        "{missing}"
    );

    let issuing = vars(&[("JWT_ROTATE_KEYS", "ES256")]).unwrap();
    assert!(issuing.can_issue());
    let tokens = issuing.issuer_builder().unwrap().build().unwrap();
    let token = tokens.access("alice").issue().unwrap();
    let verifier = vars(&[])
        .unwrap()
        .verifier_builder()
        .unwrap()
        .build()
        .unwrap();
    assert!(verifier.verify(&token).await.is_ok());

    let ring = tokens.key_ring().unwrap();
    let new = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&new, std::time::UNIX_EPOCH).unwrap();
    ring.activate(new.key_id()).unwrap();
    let token = tokens.access("alice").issue().unwrap();
    assert!(verifier.verify(&token).await.is_ok());

    for (wrong, told) in [
        (
            ("JWT_ROTATE_KEYS", "none"),
            "JWT_ROTATE_KEYS: `none` is not a signature algorithm",
        ),
        (("JWT_KEY_ID", "k"), "JWT_KEY_RING_FILE excludes"),
        (("JWT_PUBLIC_KEY", "{}"), "JWT_KEY_RING_FILE excludes"),
    ] {
        let error = vars(&[wrong]).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_key_ring_file_needs_a_runtime_and_rotation_the_file() {
    let folder = crate::key_ring_file::Folder::new();
    let config = AuthConfig::from_vars([
        ("JWT_KEY_RING_FILE", folder.file().to_str().unwrap()),
        ("JWT_ROTATE_KEYS", "EdDSA"),
        ("JWT_ISSUER", "me"),
        ("JWT_AUDIENCE", "api"),
    ])
    .unwrap();
    assert!(
        config
            .issuer_builder()
            .unwrap_err()
            .to_string()
            .contains("Tokio")
    );
    let alone = AuthConfig::from_vars([("JWT_ROTATE_KEYS", "EdDSA")]);
    let told = alone.unwrap_err().to_string();
    assert!(
        told.contains("JWT_ROTATE_KEYS needs JWT_KEY_RING_FILE"),
        "{told}"
    );
}
