//! The messages about wrong values in the configuration.

use tower_jwt_auth::config::AuthConfig;

use crate::key_ring_support::{Folder, write};

const SECRET: &str = "r7Kq2VnXw9pLzT4mYc8JdH5bGs1NfQe3AuRiZoWk6tM0";
const PRIVATE: &str = include_str!("../keys/p256.pkcs8.pem");
const PUBLIC: &str = include_str!("../keys/p256.spki.pem");

fn told(vars: &[(&str, &str)]) -> String {
    let base = [("JWT_ISSUER", "me"), ("JWT_AUDIENCE", "api")];
    let all = base.iter().chain(vars).copied();
    let told = AuthConfig::from_vars(all)
        .expect_err(&format!("{vars:?}"))
        .to_string();
    let keys = vars.iter().filter(|(name, value)| {
        name.contains("KEY") && !value.starts_with('/') || *value == SECRET
    });
    for (_, value) in keys {
        for line in value
            .lines()
            .filter(|line| line.len() > 30 && !line.contains("KEY"))
        {
            assert!(!told.contains(line), "it shows the value: {told}");
        }
    }
    told
}

fn set(kids: &[&str]) -> String {
    let keys = kids.iter().map(|kid| {
        let key = tower_jwt_auth::SigningKey::generate(tower_jwt_auth::Algorithm::ES256).unwrap();
        key.with_key_id(*kid)
            .unwrap()
            .verifying_key()
            .to_jwk()
            .unwrap()
    });
    serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

#[test]
fn each_wrong_value_is_reported_with_its_variable_and_fix() {
    let quoted = format!("\"{SECRET}\"");
    let keys = set(&["a", "b"]);
    let two = format!("{PUBLIC}{}", include_str!("../keys/p256.spki.pem"));
    let broken = PRIVATE.replace('\n', " ");
    for (vars, expected) in [
        (
            &[("JWT_SECRET", &*quoted)][..],
            "JWT_SECRET begins and ends with a quotation mark: remove both",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "'HS256'")],
            "JWT_ALGORITHM begins and ends with a quotation mark",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "hs256")],
            "JWT_ALGORITHM: `hs256` is not a signature algorithm of this crate: write `HS256`",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "ES512")],
            "JWT_ALGORITHM: `ES512` is not a signature algorithm of this crate: use one of HS256",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS256")],
            "give a private key (`JWT_PRIVATE_KEY`), or choose HS256",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ACCESS_TTL", "15m")],
            "JWT_ACCESS_TTL must be a whole number of seconds, such as 900, but it is `15m`: write 900",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_REFRESH_TTL", "30 days")],
            "but it is `30 days`: write 2592000",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_LEEWAY", "1.5")],
            "but it is `1.5`: write only digits",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_LEEWAY", "-1")],
            "but it is `-1`: write only digits",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_LEEWAY", "301")],
            "JWT_LEEWAY must be at most 300 seconds, but it is 301",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ACCESS_TTL", "0")],
            "JWT_ACCESS_TTL must be 1 second to 100 years, but it is 0 seconds",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_ISSUER", " ")],
            "JWT_ISSUER is not set, or empty",
        ),
        (
            &[("JWT_SECRET", SECRET), ("JWT_AUDIENCE", " , ")],
            "JWT_AUDIENCE is not set, or empty",
        ),
        (&[("JWT_SECRET", "")], "there is no key: set JWT_SECRET"),
        (
            &[(
                "JWT_SECRET",
                "r7Kq2VnXw9pLzT4mYc8J dH5bGs1NfQe3AuRiZoWk6tM0",
            )],
            "JWT_SECRET contains white space",
        ),
        (
            &[("JWT_SECRET", PRIVATE)],
            "JWT_SECRET: the HS256 key is a PEM or JWK document, not a secret",
        ),
        (
            &[("JWT_PRIVATE_KEY", PUBLIC), ("JWT_ALGORITHM", "ES256")],
            "JWT_PRIVATE_KEY: the ES256 key is a public key where a private key is expected",
        ),
        (
            &[("JWT_PUBLIC_KEY", PRIVATE), ("JWT_ALGORITHM", "ES256")],
            "JWT_PUBLIC_KEY: the ES256 key is a private key where a public key is expected",
        ),
        (
            &[("JWT_PRIVATE_KEY", PRIVATE), ("JWT_ALGORITHM", "RS256")],
            "but this is a P-256 key: give a key of the right kind, or set the algorithm to ES256",
        ),
        (
            &[("JWT_PRIVATE_KEY", &broken), ("JWT_ALGORITHM", "ES256")],
            "JWT_PRIVATE_KEY: the ES256 key is PEM whose line breaks are lost",
        ),
        (
            &[
                ("JWT_PRIVATE_KEY", "/run/secrets/none.pem"),
                ("JWT_ALGORITHM", "ES256"),
            ],
            "looks like the path of a file",
        ),
        (
            &[("JWT_PRIVATE_KEY", &keys)],
            "JWT_PRIVATE_KEY is a JWK set: set it to the one key that signs",
        ),
        (
            &[
                ("JWT_PUBLIC_KEY", "https://idp.example/jwks"),
                ("JWT_ALGORITHM", "ES256"),
            ],
            "is a URL, not a key",
        ),
        (
            &[("JWT_PUBLIC_KEY", &keys), ("JWT_KEY_ID", "c")],
            "JWT_KEY_ID is `c`, but no key of JWT_PUBLIC_KEY that can be used has this `kid`: set it to one of `a`, `b`",
        ),
        (
            &[("JWT_PUBLIC_KEY", &two), ("JWT_ALGORITHM", "ES256")],
            "JWT_PUBLIC_KEY: two keys have the key id",
        ),
        (
            &[
                ("JWT_PUBLIC_KEY", &two),
                ("JWT_ALGORITHM", "ES256"),
                ("JWT_KEY_ID", "a"),
            ],
            "JWT_KEY_ID is the id of one key, but JWT_PUBLIC_KEY has 2",
        ),
        (
            &[("JWT_SECRET_FILE", PRIVATE)],
            "JWT_SECRET_FILE: this is a key, not the path of a file",
        ),
        (
            &[("JWT_SECRET_FILE", "/tmp")],
            "JWT_SECRET_FILE: the file /tmp is a folder: name the file in it",
        ),
        (
            &[("JWT_SECRET_FILE", "/nonexistent")],
            "JWT_SECRET_FILE: the file /nonexistent cannot be read",
        ),
        // The secret itself in the wrong variable.
        (
            &[("JWT_SECRET_FILE", SECRET)],
            "its folder does not exist either; a secret itself belongs in the variable without `_FILE`",
        ),
    ] {
        let told = told(vars);
        assert!(
            told.contains(expected),
            "expected: {expected}\ntold: {told}"
        );
        assert!(
            !told.contains("problems in"),
            "one mistake is one problem: {told}"
        );
    }
}

#[test]
fn files_saved_by_editors_are_read_and_bad_ones_reported() {
    let folder = Folder::new();
    let path = folder.file();
    let name = path.to_str().unwrap();
    for good in [format!("\u{feff}{SECRET}\r\n"), format!("  {SECRET}\n\n")] {
        write(&path, good);
        let vars = [
            ("JWT_ISSUER", "me"),
            ("JWT_AUDIENCE", "api"),
            ("JWT_SECRET_FILE", name),
        ];
        assert!(AuthConfig::from_vars(vars).is_ok());
    }
    assert!(
        told(&[("JWT_SECRET", name)])
            .contains("JWT_SECRET is the path of a file, not its content: set JWT_SECRET_FILE")
    );
    for (content, expected) in [
        (
            b"\xff\xfe\x00".to_vec(),
            "is not UTF-8 text: convert a key in DER to PEM",
        ),
        (b" \n".to_vec(), "is empty: write the key into it"),
        (
            format!("'{SECRET}'\n").into_bytes(),
            "begins and ends with a quotation mark",
        ),
        (vec![b'x'; 1024 * 1024 + 1], "is larger than 1 MiB"),
    ] {
        write(&path, content);
        let told = told(&[("JWT_SECRET_FILE", name)]);
        assert!(
            told.contains(expected) && told.contains("JWT_SECRET_FILE: "),
            "{told}"
        );
    }
    // CRLF and escaped line breaks.
    for pem in [
        PRIVATE.replace('\n', "\r\n"),
        PRIVATE.replace('\n', "\\n"),
        PRIVATE.replace('\n', "\\r\\n"),
    ] {
        let vars = [
            ("JWT_ISSUER", "me"),
            ("JWT_AUDIENCE", "api"),
            ("JWT_ALGORITHM", "ES256"),
            ("JWT_PRIVATE_KEY", &*pem),
        ];
        assert!(AuthConfig::from_vars(vars).is_ok(), "{pem:?}");
    }
}

#[test]
fn the_key_id_selects_one_key_of_a_set() {
    let keys = set(&["a", "b"]);
    let vars = [
        ("JWT_ISSUER", "me"),
        ("JWT_AUDIENCE", "api"),
        ("JWT_PUBLIC_KEY", &*keys),
        ("JWT_KEY_ID", "b"),
    ];
    let verifier = AuthConfig::from_vars(vars)
        .unwrap()
        .verifier_builder()
        .unwrap()
        .build()
        .unwrap();
    let debug = format!("{verifier:?}");
    assert!(
        debug.contains("\"b\"") && !debug.contains("\"a\""),
        "{debug}"
    );
}
