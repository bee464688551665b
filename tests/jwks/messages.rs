//! The messages of a key source, in its health and at startup, for the person who has to fix it.

use tower_jwt_auth::Algorithm;
use tower_jwt_auth::jwks::{HttpsClient, RemoteJwks};

use crate::provider::{ISSUER, KEYRING, KEYS, Mode, Provider, verdict, verifier};

#[test]
fn an_impossible_address_is_refused_with_advice() {
    for (url, expected) in [
        ("", "`` is empty: expected a URL"),
        (" https://idp.example", "begins or ends with white space"),
        ("\"https://idp.example\"", "is not a URL"),
        (
            "idp.example",
            "`idp.example` is not an absolute https URL: begin it with `https://`",
        ),
        (
            "http://idp.example",
            "`http://idp.example` must be https, but is plain http",
        ),
        ("ftp://idp.example", "must be https"),
        (
            "http://localhost:8080",
            "is plain http: for a server on this machine, call `allow_loopback()`",
        ),
        (
            "https://10.1.2.3/keys",
            "leads to a private address: call `allow_private_network()`",
        ),
        ("https://idp.example/#x", "has a fragment: remove the `#`"),
        (
            "https://me:pass@idp.example/",
            "`https://...@idp.example/` has a user name or a password in it",
        ),
    ] {
        for builder in [RemoteJwks::builder_at(url), RemoteJwks::builder(url)] {
            let told = builder.build().unwrap_err().to_string();
            assert!(told.contains(expected) && !told.contains("pass@"), "{told}");
        }
    }
    let told =
        |builder: tower_jwt_auth::jwks::RemoteJwksBuilder| builder.build().unwrap_err().to_string();
    assert!(
        told(RemoteJwks::builder("https://idp.example?a=b"))
            .contains("`https://idp.example?a=b` has a query")
    );
    assert!(
        told(RemoteJwks::builder_at(KEYS).algorithms([Algorithm::HS256]))
            .contains("HS256 is not for keys that are fetched")
    );
    assert!(told(RemoteJwks::builder_at(KEYS).algorithms([])).contains("no algorithm is allowed"));
    let days = std::time::Duration::from_secs(8 * 86_400);
    assert!(
        told(RemoteJwks::builder_at(KEYS).stale_for(days))
            .contains("`stale_for` is 691200 seconds")
    );
    for (pem, expected) in [
        (
            "/etc/ssl/ca.pem",
            "a text without a certificate: it takes the PEM text itself",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "root certificate number 1 cannot be read",
        ),
    ] {
        let told = HttpsClient::builder()
            .root_certificates(pem)
            .build()
            .unwrap_err()
            .to_string();
        assert!(told.contains(expected), "{told}");
    }
}

/// The state in `health` after one attempt.
async fn told(mode: Mode, discovers: bool) -> String {
    let provider = Provider::new(&[0]);
    provider.state().mode = mode;
    let keys = if discovers {
        provider.discovered()
    } else {
        provider.keys()
    };
    let verifier = verifier(&keys);
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
    // A request that waits gives up a moment before the fetch that hangs.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    verifier.health()[0].last_error.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_a_key_set_is_reported_in_health() {
    for (mode, expected) in [
        (Mode::Status(404), "the response was 404 (idp.example/jwks)"),
        (
            Mode::Status(403),
            "the response was 403: keys and metadata must be readable without credentials",
        ),
        (
            Mode::Redirect,
            "the response was 302, a redirect to `https://evil.example/jwks`, and redirects are not followed: configure the final address",
        ),
        (Mode::Garbage, "the response is HTML or XML, not JSON"),
        (Mode::NoKeys, "the JWK set is empty"),
        (
            Mode::TooManyKeys,
            "the JWK set has 101 keys, and no more than 100 are read",
        ),
        (
            Mode::Hang,
            "there was no response within 5 seconds (idp.example/jwks)",
        ),
        (
            Mode::MetadataAsKeys,
            "the response is the metadata of an issuer: use the URL in its `jwks_uri`",
        ),
    ] {
        let told = told(mode, false).await;
        assert!(told.contains(expected), "{mode:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_metadata_is_reported_in_health() {
    for (mode, expected) in [
        (
            Mode::NoMetadata(404),
            "the issuer's metadata was not found: the response was 404 (idp.example/.well-known/openid-configuration); check the issuer, or give the URL of its keys to `RemoteJwks::builder_at`",
        ),
        (
            Mode::NoMetadata(301),
            "the response was 301, and redirects are not followed",
        ),
        (
            Mode::MetadataIsPage,
            "the response is a page of HTML instead of the issuer's metadata",
        ),
        (
            Mode::OtherIssuer,
            "expected `https://idp.example`, but it says `https://evil.example`: the two must be equal",
        ),
        (
            Mode::IssuerWithSlash,
            "expected `https://idp.example`, but it says `https://idp.example/`: only the slash at the end differs",
        ),
        (
            Mode::KeysElsewhere,
            "`https://evil.example/jwks`, which has another origin than the issuer: call `allow_keys_from(origin)`",
        ),
    ] {
        let told = told(mode, true).await;
        assert!(told.contains(expected), "{mode:?}: {told}");
    }
    assert_eq!(ISSUER, "https://idp.example");
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_usable_key_says_why_for_each_key() {
    let provider = Provider::new(&[]);
    provider.state().published = vec![
        serde_json::json!({"kty": "RSA", "kid": "enc", "n": "AA", "e": "AQAB", "use": "enc"}),
        serde_json::json!({"kty": "OKP", "kid": "pad", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}),
        KEYRING[0].jwk(),
        KEYRING[4].jwk(),
    ];
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
    let health = &verifier.health()[0];
    let told = health.last_error.as_deref().unwrap();
    for expected in [
        "the JWK set has no key that can verify a token",
        "key 1 (`enc`): the JSON Web key is not meant for signatures: its `use` is `enc`",
        "key 2 (`pad`): the JSON Web key has a member `x` that is not base64url without padding",
        "two keys have the key id `key-0`",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    // They are reported even if there is a good key.
    provider.state().published[3] = KEYRING[1].jwk();
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    let health = &verifier.health()[0];
    assert_eq!((health.keys, health.skipped), (2, 2));
    assert!(
        health.skipped_reasons[1].starts_with("key 2 (`pad`): "),
        "{health:?}"
    );
}
