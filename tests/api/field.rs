//! Tokens as other systems write them: what binds a token to a key, what marks a refresh token,
//! claims that are `null`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::error::AuthErrorKind::{
    self, InvalidAudience, InvalidClaim, InvalidIssuer, WrongType,
};
use tower_jwt_auth::keys::Algorithm;
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{ConfigError, TokenVerifier, VerifyingKey};

use crate::support::{NOW, key, signed};

const TOKENS: &str = include_str!("../field/tokens.json");
const RSA: &str = include_str!("../field/rsa-public.pem");

const PROFILES: [TokenProfile; 4] = [
    TokenProfile::Own,
    TokenProfile::Rfc9068,
    TokenProfile::Compatible,
    TokenProfile::IdToken,
];

fn case(name: &str) -> String {
    let cases: Value = serde_json::from_str(TOKENS).unwrap();
    cases[name].as_str().unwrap().to_owned()
}

fn rsa() -> TokenVerifierBuilder {
    let key = VerifyingKey::from_pem(Algorithm::RS256, RSA).unwrap();
    TokenVerifier::builder(key)
        .audience("shop-api")
        .profile(TokenProfile::Compatible)
}

fn builder(profile: TokenProfile) -> TokenVerifierBuilder {
    TokenVerifier::builder(key().verifying_key())
        .profile(profile)
        .clock(ManualClock::at_unix_seconds(NOW))
}

fn trusting(profile: TokenProfile) -> TokenVerifierBuilder {
    builder(profile)
        .issuer("https://idp.example")
        .audience("api")
}

/// A token that is good in this profile, with these claims instead.
fn token(profile: TokenProfile, claims: &Value) -> String {
    let mut all = json!({
        "iss": "https://idp.example", "aud": "api", "sub": "u1", "client_id": "c1",
        "iat": NOW, "exp": NOW + 300, "jti": "j1",
    });
    if profile == TokenProfile::Own {
        all["type"] = "access".into();
    }
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    let typ = if profile == TokenProfile::Rfc9068 {
        "at+jwt"
    } else {
        "JWT"
    };
    let header = json!({"alg": "HS256", "typ": typ});
    signed(header.to_string(), all.to_string())
}

fn verdict(builder: TokenVerifierBuilder, token: &str) -> Result<(), AuthErrorKind> {
    let verified = builder.build().unwrap().verify_local(token);
    verified.map(drop).map_err(|error| error.kind())
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    // RFC 9449 section 7.2, RFC 8705 section 3
    for profile in PROFILES {
        for cnf in [
            json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
            json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
            json!({"jwk": {"kty": "OKP"}}),
            json!({}),
            json!("text"),
        ] {
            let token = token(profile, &json!({ "cnf": cnf }));
            let refused = trusting(profile).build().unwrap().verify_local(&token);
            let error = refused.expect_err(&format!("{profile:?} {cnf}"));
            assert_eq!((error.kind(), error.status().as_u16()), (InvalidClaim, 401));
            assert!(error.to_string().contains("`cnf`"), "{error}");
        }
        let unbound = token(profile, &json!({"cnf": null}));
        assert_eq!(verdict(trusting(profile), &unbound), Ok(()), "{profile:?}");
    }
    // Keycloak says so in a claim too.
    let dpop = token(TokenProfile::Compatible, &json!({"typ": "DPoP"}));
    assert_eq!(
        verdict(trusting(TokenProfile::Compatible), &dpop),
        Err(InvalidClaim)
    );
}

#[test]
fn a_bound_token_is_taken_only_by_a_setting_that_says_dangerous() {
    for profile in PROFILES {
        let token = token(profile, &json!({"cnf": {"jkt": "x"}}));
        let taking = trusting(profile).dangerous_accept_bound_tokens();
        assert_eq!(verdict(taking, &token), Ok(()), "{profile:?}");
    }
}
