//! Unusual keys in a document: they are skipped and counted, and the others are used.

use serde_json::{Value, json};
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::{Algorithm, SigningKey, TokenVerifier};

use crate::provider::{ISSUER, KEYRING, KEYS, Provider, token_of, verdict, verifier};

/// A public key with some members changed; `null` removes one.
fn changed(key: &Value, changes: &Value) -> Value {
    let mut jwk = key.clone();
    let members = jwk.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    jwk
}

fn public(algorithm: Algorithm) -> Value {
    let key = SigningKey::generate(algorithm).unwrap();
    key.verifying_key().to_jwk().unwrap()
}

#[tokio::test(start_paused = true)]
async fn odd_keys_harm_no_other_key() {
    let (rsa, ec) = (public(Algorithm::RS256), public(Algorithm::ES256));
    let odd = [
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA"}), // RFC 9964
        changed(&ec, &json!({"crv": "secp256k1", "alg": "ES256K"})),
        changed(&ec, &json!({"crv": "P-521", "alg": "ES512"})),
        changed(&ec, &json!({"alg": "ES384"})),
        changed(&ec, &json!({"alg": "RS256"})),
        changed(&ec, &json!({"y": null})),
        changed(&ec, &json!({"x": "AAAA"})),
        changed(&ec, &json!({"use": "enc"})),
        changed(&ec, &json!({"key_ops": ["sign"]})),
        changed(&ec, &json!({"key_ops": []})),
        changed(&ec, &json!({"d": "AAAA"})),
        changed(&ec, &json!({"kid": 5})),
        changed(&ec, &json!({"kid": ""})),
        changed(&ec, &json!({"kid": "x".repeat(257)})),
        changed(&rsa, &json!({"n": "!!!"})),
        changed(&rsa, &json!({"n": "AQAB"})),
        changed(&rsa, &json!({"n": null})),
        changed(&rsa, &json!({"e": "AQ"})),
        changed(&rsa, &json!({"alg": "RSA-OAEP"})),
        changed(&rsa, &json!({"alg": "none"})),
        changed(&rsa, &json!({"alg": null, "kty": "rsa"})),
        json!({"kty": "oct", "alg": "HS256", "kid": "key-0", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        json!({"kty": "OKP", "crv": "Ed448", "x": "AAAA"}),
        json!({}),
        json!([]),
        json!(null),
        json!("key"),
        json!(5),
        json!({"kty": ["RSA"]}),
    ];
    let provider = Provider::new(&[]);
    {
        let mut state = provider.state();
        state.published = odd.to_vec();
        state.published.insert(7, KEYRING[0].jwk());
        state.published.push(KEYRING[1].jwk());
    }
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
    let health = &verifier.health()[0];
    assert_eq!((health.keys, health.skipped), (2, odd.len()));
    let reasons = &health.skipped_reasons;
    assert_eq!(reasons.len(), odd.len());
    for said in [
        "key 1 (`pq`): `ML-DSA-44` is not a signature algorithm",
        "`ES512` is not a signature algorithm",
        // The eighth key is a good one.
        "): the JSON Web key is not meant for signatures: its `use` is `enc`",
        "its `key_ops` lack `verify`",
        "has a member `n` that is not base64url",
        "(`key-0`): the key is a secret (`kty` is `oct`), and anybody who can read a secret",
        "`kty` `OKP` and `crv` `X25519`, which are not supported",
    ] {
        assert!(
            reasons.iter().any(|reason| reason.contains(said)),
            "{said} in: {reasons:#?}"
        );
    }
    assert!(!reasons.concat().contains("c2VjcmV0"), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn two_keys_with_one_id_need_different_algorithms() {
    let key = |algorithm| {
        let key = SigningKey::generate(algorithm).unwrap();
        key.with_key_id("same").unwrap()
    };
    let (ed, ec, other_ec) = (
        key(Algorithm::EdDSA),
        key(Algorithm::ES256),
        key(Algorithm::ES256),
    );
    let jwk = |key: &SigningKey| key.verifying_key().to_jwk().unwrap();
    let provider = Provider::new(&[]);
    // The same key twice counts as one.
    provider.state().published = vec![jwk(&ed), jwk(&ec), jwk(&ec)];
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &token_of(ed.clone())).await, "ok");
    assert_eq!(verdict(&verifier, &token_of(ec.clone())).await, "ok");

    let provider = Provider::new(&[]);
    provider.state().published = vec![jwk(&ed), jwk(&ec), jwk(&other_ec)];
    let verifier = crate::provider::verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &token_of(ed)).await, "ok");
    assert_eq!(verdict(&verifier, &token_of(ec)).await, "401");
    assert_eq!(verdict(&verifier, &token_of(other_ec)).await, "401");
    assert_eq!(verifier.health()[0].skipped, 2);
}

#[tokio::test(start_paused = true)]
async fn an_rsa_key_serves_one_algorithm_which_can_be_set() {
    use Algorithm::{EdDSA, PS256, RS256};

    let ps256 = SigningKey::generate(PS256).unwrap();
    let token = token_of(ps256.clone());
    let nameless = changed(
        &ps256.verifying_key().to_jwk().unwrap(),
        &json!({"alg": null}),
    );
    let verifier = |algorithms: &[Algorithm], jwk: &Value| {
        let provider = Provider::new(&[]);
        provider.state().published = vec![jwk.clone(), KEYRING[0].jwk()];
        let keys = RemoteJwks::builder_at(KEYS)
            .algorithms(algorithms.iter().copied())
            .client(provider)
            .build()
            .unwrap();
        let verifier: TokenVerifier = TokenVerifier::builder()
            .remote_jwks(&keys)
            .issuer(ISSUER)
            .audience("api")
            .build()
            .unwrap();
        verifier
    };
    // By default, it is an RS256 key.
    assert_eq!(
        verdict(&verifier(&[RS256, PS256, EdDSA], &nameless), &token).await,
        "401"
    );
    assert_eq!(
        verdict(&verifier(&[PS256, EdDSA], &nameless), &token).await,
        "ok"
    );
    let said = ps256.verifying_key().to_jwk().unwrap();
    assert_eq!(
        verdict(&verifier(&[RS256, PS256, EdDSA], &said), &token).await,
        "ok"
    );
    assert_eq!(
        verdict(&verifier(&[RS256, EdDSA], &said), &token).await,
        "401"
    );
}
