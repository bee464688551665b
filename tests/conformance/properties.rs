//! Properties of any token, any change of it, and any text that is not a token.

use proptest::prelude::*;
use serde_json::{Map, Value};
use tower_jwt_auth::claims::RESERVED_CLAIMS;
use tower_jwt_auth::dangerous::{decode_unverified, expires_at};
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer, VerifyingKey};

fn issuer(algorithm: Algorithm) -> TokenIssuer {
    let key = SigningKey::generate(algorithm).unwrap();
    TokenIssuer::builder(key)
        .issuer("me")
        .audience("api")
        .build()
        .unwrap()
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn issued_tokens_verify_with_the_same_claims(
        subject in "\\PC{1,40}",
        claims in proptest::collection::hash_map("\\PC{0,12}", json(), 0..5),
    ) {
        let claims: Map<String, Value> = claims.into_iter().collect();
        prop_assume!(!claims.keys().any(|name| RESERVED_CLAIMS.contains(&name.as_str())));
        let tokens = issuer(Algorithm::HS256);
        let issued = tokens.access(&subject).claims(&claims).issue();
        prop_assume!(!matches!(issued, Err(tower_jwt_auth::issuer::IssueError::TooLong)));
        let token = issued.unwrap();
        let verified = tokens.verifier().verify_local(&token).unwrap();
        prop_assert_eq!(verified.subject(), Some(subject.as_str()));
        let read = verified.claims::<Map<String, Value>>().unwrap();
        for (name, value) in &claims {
            prop_assert_eq!(read.get(name), Some(value));
        }
    }

    #[test]
    fn any_text_as_a_token_is_refused_without_a_panic(text in any::<String>()) {
        let tokens = issuer(Algorithm::HS256);
        prop_assert!(tokens.verifier().verify_local(&text).is_err());
        let _ = decode_unverified::<Value>(&text);
        let _ = expires_at(&text);
        let _ = VerifyingKey::from_jwk(&text);
        let _ = KeySet::from_jwks(&text);
        let _ = VerifyingKey::from_pem(Algorithm::ES256, &text);
        let _ = SigningKey::from_pem(Algorithm::RS256, &text);
    }

    #[test]
    fn any_three_parts_are_refused_without_a_panic(
        parts in proptest::array::uniform3("[A-Za-z0-9_-]{0,60}"),
        header in any::<String>(),
        payload in json(),
    ) {
        use base64::Engine as _;
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let tokens = issuer(Algorithm::HS256);
        for token in [
            parts.join("."),
            format!("{}.{}.{}", base64(header.as_bytes()), parts[1], parts[2]),
            format!("{}.{}.{}", base64(b"{\"alg\":\"HS256\"}"), base64(payload.to_string().as_bytes()), parts[2]),
        ] {
            prop_assert!(tokens.verifier().verify_local(&token).is_err());
            let _ = decode_unverified::<Value>(&token);
        }
    }
}

/// Each single byte of a token, changed to a few others: it is refused, whatever the algorithm.
#[test]
fn any_changed_byte_is_refused() {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        let tokens = issuer(algorithm);
        let verifier = tokens.verifier();
        let token = tokens.access("alice").scope("read").issue().unwrap();
        assert!(verifier.verify_local(&token).is_ok());
        for index in 0..token.len() {
            for replacement in ["A", "b", "9", "-", "_", ".", "=", " ", "\u{0}"] {
                let mut changed = token.clone();
                changed.replace_range(index..=index, replacement);
                assert!(
                    changed == token || verifier.verify_local(&changed).is_err(),
                    "{algorithm}: byte {index} as {replacement:?}"
                );
            }
            let mut shorter = token.clone();
            shorter.remove(index);
            assert!(
                verifier.verify_local(&shorter).is_err(),
                "{algorithm}: without byte {index}"
            );
            assert!(
                verifier.verify_local(&token[..index]).is_err(),
                "{algorithm}: up to {index}"
            );
        }
    }
}
