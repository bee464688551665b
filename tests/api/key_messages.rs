//! The messages of key constructors about wrong texts.

use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, ConfigError, SigningKey, VerifyingKey};

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name, ".pem"))
    };
}

/// A document with this label and a meaningless body.
fn labelled(label: &str) -> String {
    let body = "c29tZXRoaW5nIHRoYXQgaXMgbm8ga2V5IGF0IGFsbA==";
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn check<T: std::fmt::Debug>(input: &str, built: Result<T, ConfigError>, expected: &str) {
    let told = built.expect_err(input).to_string();
    assert!(
        told.contains(expected),
        "expected: {expected}\ntold: {told}\ninput: {input}"
    );
    let body = input.lines().nth(1).unwrap_or_default();
    assert!(
        body.len() < 20 || !told.contains(body),
        "it shows the key: {told}"
    );
    assert!(told.len() < 600 && !told.contains("  "), "{told}");
}

#[test]
fn an_error_says_what_was_found_instead_of_a_private_key() {
    let pkcs8 = pem!("p256.pkcs8");
    let lost = pkcs8.replace('\n', " ");
    let escaped = pkcs8.replace('\n', "\\n");
    let cut = &pkcs8[..pkcs8.len() - 40];
    for (input, expected) in [
        (
            pem!("p256.spki").to_owned(),
            "is a public key where a private key is expected",
        ),
        (
            pem!("p256.certificate").to_owned(),
            "is a certificate where a private key is expected",
        ),
        (
            pem!("p256.sec1").to_owned(),
            "is in SEC 1 form: convert it with `openssl pkcs8",
        ),
        (
            format!("{}{}", labelled("EC PARAMETERS"), pem!("p256.sec1")),
            "is in SEC 1 form",
        ),
        (
            pem!("p256.encrypted").to_owned(),
            "is encrypted: decrypt it with",
        ),
        (
            pem!("ed25519.pkcs8").to_owned(),
            "must be a P-256 private key in PKCS #8, but this is an Ed25519 key: give a key of the right kind, \
             or set the algorithm to EdDSA",
        ),
        (pem!("p384.pkcs8").to_owned(), "but this is a P-384 key"),
        (pem!("rsa2048.pkcs8").to_owned(), "but this is an RSA key"),
        (pem!("rsa2048.pkcs1").to_owned(), "but this is an RSA key"),
        (
            labelled("OPENSSH PRIVATE KEY"),
            "is an OpenSSH key, which this crate does not read: make one with",
        ),
        (
            labelled("PGP PRIVATE KEY BLOCK"),
            "is an OpenPGP key, which signs no tokens",
        ),
        (
            labelled("DH PARAMETERS"),
            "is a PEM document `DH PARAMETERS`, which is not a key: expected `PRIVATE KEY`",
        ),
        (
            base64(pkcs8),
            "was base64-encoded once more: decode it with `base64 -d`",
        ),
        (lost, "is PEM whose line breaks are lost"),
        (
            escaped,
            "has the two characters `\\n` where its line breaks should be",
        ),
        (cut.to_owned(), "has no line `-----END ...-----`"),
        (pkcs8.replace("MI", "M!"), "is not base64: copy all of it"),
        (String::new(), "is empty: give the PEM text"),
        (
            "/run/secrets/jwt.pem".to_owned(),
            "looks like the path of a file",
        ),
        ("key.pem".to_owned(), "looks like the path of a file"),
        (
            "{\"kty\":\"EC\"}".to_owned(),
            "is JSON, not PEM: load it with `from_jwk`",
        ),
        (
            base64("{\"kty\":\"EC\"}"),
            "is JSON that was base64-encoded once more",
        ),
        (
            "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln".to_owned(),
            "is a token, not a key",
        ),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me".to_owned(),
            "is an OpenSSH public key, not PEM: convert it",
        ),
        (
            "https://idp.example/jwks.json".to_owned(),
            "is a URL, not a key",
        ),
        ("<html>404</html>".to_owned(), "is HTML or XML"),
        (
            base64(&"k".repeat(100)),
            "its lines `-----BEGIN ... KEY-----` and `-----END ... KEY-----` are missing",
        ),
        (
            "what is this".to_owned(),
            "is not PEM: it must stand between the lines",
        ),
    ] {
        check(
            &input,
            SigningKey::from_pem(Algorithm::ES256, &input),
            expected,
        );
        check(
            &input,
            SigningKey::from_pem(Algorithm::ES256, &input),
            "the ES256 key ",
        );
    }
}

#[test]
fn an_error_says_what_was_found_instead_of_a_public_key() {
    for (input, expected) in [
        (
            pem!("p256.pkcs8").to_owned(),
            "is a private key where a public key is expected: extract it with",
        ),
        (
            pem!("rsa2048.pkcs1").to_owned(),
            "is a private key where a public key is expected",
        ),
        (
            pem!("p256.certificate").to_owned(),
            "is a certificate where a public key is expected: extract it",
        ),
        (labelled("CERTIFICATE REQUEST"), "is a certificate request"),
        (pem!("p384.spki").to_owned(), "but this is a P-384 key"),
        (
            pem!("p521.spki").to_owned(),
            "but this is a P-521 key: this crate does not support it",
        ),
        (
            pem!("secp256k1.spki").to_owned(),
            "but this is a secp256k1 key",
        ),
        (pem!("rsa2048.spki").to_owned(), "but this is an RSA key"),
        (
            pem!("rsa2048.pkcs1-public").to_owned(),
            "but this is an RSA key",
        ),
        (labelled("PGP PUBLIC KEY BLOCK"), "is an OpenPGP key"),
        (labelled("SSH2 PUBLIC KEY"), "is an OpenSSH key"),
    ] {
        check(
            &input,
            VerifyingKey::from_pem(Algorithm::ES256, &input),
            expected,
        );
    }
    let pem = pem!("p256.spki");
    check(
        pem,
        VerifyingKey::from_pem(Algorithm::HS256, pem),
        "is a PEM document where a secret is expected",
    );
    check(
        pem,
        VerifyingKey::from_der(Algorithm::ES256, pem),
        "is PEM where DER is expected",
    );
    check(
        pem,
        VerifyingKey::from_der(Algorithm::ES256, base64(pem)),
        "is base64 where the bytes of DER",
    );
    // As editors on Windows write it.
    for good in [
        format!("\u{feff}{pem}"),
        pem.replace('\n', "\r\n"),
        format!("\n\n {pem} "),
    ] {
        assert!(
            VerifyingKey::from_pem(Algorithm::ES256, &good).is_ok(),
            "{good:?}"
        );
    }
}

#[test]
fn an_error_says_what_was_found_instead_of_a_jwk() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let with = |x: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    for (input, expected) in [
        (
            with(&format!("{x}=")),
            "has a member `x` that is not base64url without padding (RFC 7515 section 2): it ends with the padding `=`",
        ),
        (
            with(&x.replace('_', "/")),
            "it has a `+` or `/`, so it is the other base64",
        ),
        (with(&x.replace('_', " ")), "it has white space in it"),
        (
            with(&x.replace('_', "!")),
            "it has a character outside of the alphabet",
        ),
        (String::new(), "is empty: give a JSON object"),
        ("[]".to_owned(), "is not a JSON object"),
        ("{}".to_owned(), "has no member `kty`"),
        (
            r#"{"kty":"OKP""#.to_owned(),
            "is not JSON (line 1, column 12)",
        ),
        (
            r#"{"keys":[]}"#.to_owned(),
            "is a set of keys, where one key is expected",
        ),
        (
            r#"{"kty":"EC","kid":5}"#.to_owned(),
            "has a member `kid` that is not a string: put it in quotes",
        ),
        (
            pem!("p256.spki").to_owned(),
            "is PEM, not JSON: load it with `from_pem`",
        ),
        (
            r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#.to_owned(),
            "has `kty` `EC` and `crv` `P-521`, which are not supported",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","alg":"es256"}"#.to_owned(),
            "`es256` is not a signature algorithm of this crate: write `ES256`",
        ),
        (
            r#"{"kty":"oct","k":"AA"}"#.to_owned(),
            "needs an `alg` member",
        ),
        (
            r#"{"kty":"RSA","n":"AA","e":"AQAB","use":"enc"}"#.to_owned(),
            "its `use` is `enc`, expected `sig`",
        ),
    ] {
        check(&input, VerifyingKey::from_jwk(&input), expected);
    }
    let public = with(x);
    check(
        &public,
        SigningKey::from_jwk(&public),
        "is a public key where a private key is expected",
    );
    assert!(VerifyingKey::from_jwk(&format!("\u{feff}{public}")).is_ok());
}

#[test]
fn an_error_says_what_was_found_instead_of_a_jwk_set() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let other = r#"{"kty":"OKP","crv":"Ed25519","kid":"k","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;
    let spiffe = include_str!("../field/spiffe-bundle.json");
    for (input, expected) in [
        (key.to_owned(), "the JWK set is one key: put it into an array"),
        (format!("[{key}]"), "the JWK set is an array: put it into an object"),
        (r#"{"issuer":"https://a","jwks_uri":"https://a/j"}"#.to_owned(), "is the metadata of an issuer: use the URL in its `jwks_uri`"),
        (r#"{"keys":{}}"#.to_owned(), "has a member `keys` that is not an array"),
        ("{}".to_owned(), "has no array `keys`"),
        (String::new(), "is empty"),
        ("<html>".to_owned(), "is HTML or XML, not JSON"),
        ("{".to_owned(), "is not JSON (line 1, column 1)"),
        (pem!("p256.spki").to_owned(), "is PEM, not JSON"),
        ("/etc/jwks.json".to_owned(), "looks like the path of a file: give the text"),
        ("https://idp.example/jwks.json".to_owned(), "is a URL, not a key set"),
        (r#"{"keys":[]}"#.to_owned(), "there is no key to verify tokens with"),
        (format!(r#"{{"keys":[{key},{other}]}}"#), "two keys have the key id `k`"),
        (
            r#"{"keys":[{"kty":"RSA","kid":"a","n":"AA","e":"AQAB","use":"enc"},{"kty":"EC","crv":"P-521"}]}"#.to_owned(),
            "key 1 (`a`): the JSON Web key is not meant for signatures: its `use` is `enc`",
        ),
        (spiffe.to_owned(), "its `use` is `jwt-svid`, expected `sig` or no `use`"),
    ] {
        check(&input, KeySet::from_jwks(&input), expected);
    }
}

#[test]
fn an_unknown_algorithm_error_lists_and_suggests_algorithms() {
    for (name, expected) in [
        (
            "hs256",
            "`hs256` is not a signature algorithm of this crate: write `HS256`, exactly like this",
        ),
        ("RS-256", "write `RS256`"),
        ("eddsa", "write `EdDSA`"),
        ("\"ES256\"", "write `ES256`"),
        (
            "none",
            "tokens without a signature are not supported; use one of HS256",
        ),
        (
            "ES512",
            "use one of HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519",
        ),
        ("", "`` is not a signature algorithm"),
    ] {
        check(name, name.parse::<Algorithm>(), expected);
    }
}
