//! The examples as a user uses them: each folder is copied elsewhere, built there and called over HTTP.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod chapters;
mod client;
mod copied;
mod grpc_server;
mod key_rotation;
mod login;
mod mcp_server;
mod provider;
mod resource_server;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer, VerifyingKey};

use client::Answer;
use server::Server;

/// The examples with the routes `/me`, `/scoped` (needs `read`) and `/healthz` (public).
const DRIVEN: [&str; 2] = ["quickstart", "hyper-server"];

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "api";
const NO_VARIABLES: [(&str, &str); 0] = [];

#[test]
fn copied_examples_build() {
    let folders = copied::folders();
    for name in DRIVEN {
        assert!(folders.iter().any(|folder| folder == name), "no {name}");
    }
    for folder in folders {
        copied::binary(&folder);
    }
}

#[test]
fn copied_examples_start_without_configuration() {
    for name in DRIVEN {
        let server = Server::start(name, &NO_VARIABLES);
        let token = server.printed_token();
        let (read, none) = (server.get("/scoped", &token), server.get("/me", &token));
        assert_eq!(read.status, 200, "{name}");
        assert_eq!(none.status, 200, "{name}");
        assert_eq!(none.header("content-type"), ["application/json"]);
        let claims: serde_json::Value = serde_json::from_str(&none.body).unwrap();
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["iss"], "http://localhost");

        assert_eq!(server.get_with("/nowhere", &[]).status, 404, "{name}");
        assert_eq!(server.get("/nowhere", "bad").status, 404, "{name}");

        let other = Server::start(name, &NO_VARIABLES);
        let refused = other.get("/me", &token);
        is_challenged(
            &refused,
            401,
            r#"Bearer realm="api", error="invalid_token""#,
        );
    }
}

#[test]
fn copied_examples_challenge_as_rfc_6750_says() {
    for name in DRIVEN {
        let secret = random_secret();
        let issuer = issuer(SigningKey::hs256(&secret).unwrap());
        let server = Server::start(name, &variables("JWT_SECRET", &secret));
        assert!(!server.output().contains("eyJ"), "a token was printed");

        assert_eq!(server.get_with("/healthz", &[]).status, 200);
        is_challenged(&server.get_with("/me", &[]), 401, r#"Bearer realm="api""#);
        for malformed in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b"] {
            let answer = server.get_with("/me", &[malformed]);
            is_challenged(
                &answer,
                400,
                r#"Bearer realm="api", error="invalid_request""#,
            );
        }
        let twice = server.get_with("/me", &["Bearer a.b.c", "Bearer a.b.c"]);
        is_challenged(
            &twice,
            400,
            r#"Bearer realm="api", error="invalid_request""#,
        );
        for garbage in ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            let answer = server.get("/me", garbage);
            is_challenged(&answer, 401, r#"Bearer realm="api", error="invalid_token""#);
        }

        let plain = issuer.access("bob").issue().unwrap();
        assert_eq!(server.get("/me", &plain).status, 200);
        let refused = server.get("/scoped", &plain);
        let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="read""#;
        is_challenged(&refused, 403, challenge);
        let read = issuer.access("bob").scope("write read").issue().unwrap();
        assert_eq!(server.get("/scoped", &read).status, 200);

        let refresh = issuer.refresh("bob").issue().unwrap();
        let answer = server.get("/me", &refresh);
        is_challenged(&answer, 401, r#"Bearer realm="api", error="invalid_token""#);
    }
}

#[test]
fn copied_examples_verify_with_a_public_key() {
    for name in DRIVEN {
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
            let key = SigningKey::generate(algorithm).unwrap();
            let token = issuer(key.clone()).access("carol").issue().unwrap();
            let stranger = issuer(SigningKey::generate(algorithm).unwrap());
            let forged = stranger.access("carol").issue().unwrap();

            let pem = pem_of(&key.verifying_key());
            let mut by_pem = variables("JWT_PUBLIC_KEY", &pem).to_vec();
            by_pem.push(("JWT_ALGORITHM", algorithm.as_str()));
            let set = KeySet::from(key.verifying_key()).to_jwks().to_string();
            let file = copied::scratch(&format!("{name}-{algorithm}.jwks"));
            std::fs::write(&file, set).unwrap();
            let by_file = variables("JWT_PUBLIC_KEY_FILE", file.to_str().unwrap());

            for variables in [&by_pem[..], &by_file] {
                let server = Server::start(name, variables);
                assert_eq!(server.get("/me", &token).status, 200, "{name} {algorithm}");
                let refused = server.get("/me", &forged);
                is_challenged(
                    &refused,
                    401,
                    r#"Bearer realm="api", error="invalid_token""#,
                );
            }
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn copied_examples_report_every_problem_of_their_configuration() {
    for name in DRIVEN {
        let bad = [
            ("JWT_SECRET", "short"),
            ("JWT_LEEWAY", "1h"),
            ("JWT_ACCESS_TTL", "0"),
        ];
        let (code, errors) = server::run_to_the_end(name, &bad);
        assert_eq!(code, Some(1), "{name}: {errors}");
        for told in [
            "5 problems in the configuration",
            "JWT_SECRET: the HMAC secret has 5 bytes",
            "JWT_ISSUER is not set",
            "JWT_AUDIENCE is not set",
            "JWT_LEEWAY must be a whole number of seconds",
            "JWT_ACCESS_TTL must be 1 second to 100 years",
        ] {
            assert!(errors.contains(told), "{name}: no {told:?} in {errors}");
        }
        assert!(!errors.contains("short:"), "the secret is shown: {errors}");

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let (code, errors) = server::run_to_the_end(name, &[("BIND_ADDR", &address)]);
        assert_eq!(code, Some(1), "{name}: {errors}");
    }
}

#[track_caller]
fn is_challenged(answer: &Answer, status: u16, challenge: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), [challenge], "{answer:?}");
    assert_eq!(answer.body, "");
}

fn variables<'v>(key: &'v str, value: &'v str) -> [(&'v str, &'v str); 3] {
    [
        (key, value),
        ("JWT_ISSUER", ISSUER),
        ("JWT_AUDIENCE", AUDIENCE),
    ]
}

fn issuer(key: SigningKey) -> TokenIssuer {
    let tokens = TokenIssuer::builder(key).issuer(ISSUER).audience(AUDIENCE);
    tokens.build().unwrap()
}

fn random_secret() -> String {
    let mut bytes = [0_u8; 48];
    getrandom::fill(&mut bytes).unwrap();
    STANDARD.encode(bytes)
}

/// A public key as SubjectPublicKeyInfo (RFC 5480, RFC 8410), from its JWK.
fn pem_of(key: &VerifyingKey) -> String {
    let jwk = key.to_jwk().unwrap();
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let der = match key.algorithm() {
        Algorithm::EdDSA => {
            let prefix = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
            [&prefix[..], &member("x")].concat()
        }
        Algorithm::ES256 => {
            let prefix = *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\
                            \x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
            [&prefix[..], &member("x"), &member("y")].concat()
        }
        other => panic!("no document for {other}"),
    };
    let base64 = STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
}
