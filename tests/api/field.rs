//! Tokens that other systems issue: what binds a token to a key, what marks a refresh token, and claims that
//! are `null`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower_jwt_auth::AuthErrorKind::{
    self, InvalidAudience, InvalidClaim, InvalidIssuer, WrongType,
};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{Algorithm, ConfigError, TokenVerifier, VerifyingKey};

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
    TokenVerifier::builder()
        .keys(key)
        .audience("shop-api")
        .profile(TokenProfile::Compatible)
}

fn builder(profile: TokenProfile) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .profile(profile)
        .clock(ManualClock::at_unix_seconds(NOW))
}

fn trusting(profile: TokenProfile) -> TokenVerifierBuilder {
    builder(profile)
        .issuer("https://idp.example")
        .audience("api")
}

/// A token that is valid for this profile, with these claims changed.
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
fn a_bound_token_is_not_accepted_as_a_bearer_token() {
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
    // Keycloak marks it with a claim as well.
    for name in ["typ", "token_type"] {
        let dpop = token(TokenProfile::Compatible, &json!({ name: "DPoP" }));
        assert_eq!(
            verdict(trusting(TokenProfile::Compatible), &dpop),
            Err(InvalidClaim)
        );
    }
}

#[test]
fn accepting_bound_tokens_needs_a_dangerous_setting() {
    for profile in PROFILES {
        let token = token(profile, &json!({"cnf": {"jkt": "x"}}));
        let taking = trusting(profile).dangerous_accept_bound_tokens();
        assert_eq!(verdict(taking, &token), Ok(()), "{profile:?}");
    }
}

#[test]
fn a_foreign_refresh_token_is_not_an_access_token() {
    let django = rsa().issuer("https://django.example.test");
    assert_eq!(verdict(django, &case("simplejwt_refresh")), Err(WrongType));

    for profile in [
        TokenProfile::Compatible,
        TokenProfile::Rfc9068,
        TokenProfile::IdToken,
    ] {
        for claims in [
            json!({"token_type": "refresh"}),
            json!({"token_type": "Refresh"}),
            json!({"token_type": "refresh_token"}),
            json!({"token_type": "refresh-token"}),
            json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}),
            json!({"token_type": "offline"}),
            json!({"token_type": "logout"}),
            json!({"tokenType": "refresh"}),
            json!({"token_kind": "refresh"}),
            json!({"use": "refresh"}),
            json!({"type": "refresh_token"}),
            json!({"type": "RefreshToken"}),
            json!({"token_use": "refresh"}),
            json!({"typ": "Refresh"}),
            json!({"typ": "Offline"}),
            json!({"ati": "8e0e9b6e"}),
        ] {
            let token = token(profile, &claims);
            assert_eq!(
                verdict(trusting(profile), &token),
                Err(WrongType),
                "{profile:?} {claims}"
            );
        }
    }
    for claims in [
        json!({"token_type": "id"}),
        json!({"token_type": "id_token"}),
        json!({"use": "id"}),
        json!({"type": "id_token"}),
        json!({"token_use": "id"}),
    ] {
        for profile in [TokenProfile::Compatible, TokenProfile::Rfc9068] {
            let token = token(profile, &claims);
            assert_eq!(
                verdict(trusting(profile), &token),
                Err(WrongType),
                "{profile:?} {claims}"
            );
        }
        let id = token(TokenProfile::IdToken, &claims);
        assert_eq!(
            verdict(trusting(TokenProfile::IdToken), &id),
            Ok(()),
            "{claims}"
        );
    }
    for claims in [
        json!({"token_type": "access"}),
        json!({"token_type": "Bearer"}),
        json!({"token_type": "user"}),
        json!({"token_type": "urn:ietf:params:oauth:token-type:access_token"}),
        json!({"use": "production"}),
        json!({"use": 5}),
    ] {
        let token = token(TokenProfile::Compatible, &claims);
        assert_eq!(
            verdict(trusting(TokenProfile::Compatible), &token),
            Ok(()),
            "{claims}"
        );
    }
    let access = token(TokenProfile::IdToken, &json!({"token_type": "access"}));
    assert_eq!(
        verdict(trusting(TokenProfile::IdToken), &access),
        Err(WrongType)
    );
}

#[test]
fn a_claim_can_be_required_to_have_one_of_several_values() {
    let verdict = |demanded: bool, claims: Value| {
        let builder = trusting(TokenProfile::Compatible);
        let builder = if demanded {
            builder.claim_one_of("meta.kind", ["user", "service"])
        } else {
            builder.claim_one_of_if_present("meta.kind", ["user", "service"])
        };
        verdict(builder, &token(TokenProfile::Compatible, &claims))
    };
    for good in ["user", "service"] {
        let claims = json!({"meta": {"kind": good}});
        assert_eq!(verdict(true, claims.clone()), Ok(()));
        assert_eq!(verdict(false, claims), Ok(()));
    }
    for bad in [
        json!("User"),
        json!(""),
        json!(["user"]),
        json!(5),
        json!({"user": true}),
    ] {
        let claims = json!({"meta": {"kind": bad}});
        assert_eq!(verdict(true, claims.clone()), Err(InvalidClaim), "{bad}");
        assert_eq!(verdict(false, claims), Err(InvalidClaim), "{bad}");
    }
    for missing in [
        json!({}),
        json!({"meta": {}}),
        json!({"meta": {"kind": null}}),
    ] {
        assert_eq!(
            verdict(true, missing.clone()),
            Err(InvalidClaim),
            "{missing}"
        );
        assert_eq!(verdict(false, missing.clone()), Ok(()), "{missing}");
    }
    let none: [&str; 0] = [];
    let all = || trusting(TokenProfile::Compatible);
    for built in [
        all().claim_one_of("kind", none).build(),
        all().claim_one_of_if_present("kind", none).build(),
        all().claim_one_of("a..b", ["x"]).build(),
    ] {
        assert!(matches!(built, Err(ConfigError::Invalid(_))));
    }
}

#[test]
fn a_token_without_such_marks_is_accepted() {
    let kubernetes = rsa().issuer("https://kubernetes.default.svc.cluster.local");
    assert_eq!(verdict(kubernetes, &case("k8s_sa")), Ok(()));
}

#[test]
fn a_null_audience_or_issuer_counts_as_missing() {
    let secret = STANDARD
        .decode(case("devise_null_aud_secret_base64"))
        .unwrap();
    let devise = TokenVerifier::builder()
        .keys(VerifyingKey::hs256(secret).unwrap())
        .profile(TokenProfile::Compatible)
        .dangerous_no_issuer();
    let token_of_devise = case("devise_null_aud");
    assert_eq!(
        verdict(devise.clone().dangerous_no_audience(), &token_of_devise),
        Ok(())
    );
    assert_eq!(
        verdict(devise.audience("api"), &token_of_devise),
        Err(InvalidAudience)
    );

    for profile in [TokenProfile::Own, TokenProfile::Compatible] {
        let any_issuer = || builder(profile).audience("api").dangerous_no_issuer();
        let null = token(profile, &json!({"iss": null}));
        assert_eq!(verdict(any_issuer(), &null), Ok(()), "{profile:?}");
        assert_eq!(verdict(trusting(profile), &null), Err(InvalidIssuer));
        let any_audience = || {
            builder(profile)
                .issuer("https://idp.example")
                .dangerous_no_audience()
        };
        let null = token(profile, &json!({"aud": null}));
        assert_eq!(verdict(any_audience(), &null), Ok(()), "{profile:?}");
        // No other wrong type is accepted.
        for wrong in [json!(5), json!({}), json!([null]), json!(false)] {
            let token = token(profile, &json!({"aud": wrong, "iss": wrong}));
            let any = builder(profile)
                .dangerous_no_issuer()
                .dangerous_no_audience();
            assert!(verdict(any, &token).is_err(), "{profile:?} {wrong}");
        }
        let demanded = any_audience().require("aud");
        assert_eq!(verdict(demanded, &null), Err(InvalidClaim), "{profile:?}");
    }
    // A profile that requires the claim still does (RFC 9068 section 2.2, OpenID Connect Core section 2).
    for profile in [TokenProfile::Rfc9068, TokenProfile::IdToken] {
        let any = || {
            builder(profile)
                .dangerous_no_issuer()
                .dangerous_no_audience()
        };
        for claim in ["iss", "aud"] {
            let null = token(profile, &json!({ claim: null }));
            assert_eq!(
                verdict(any(), &null),
                Err(InvalidClaim),
                "{profile:?} {claim}"
            );
        }
    }
    let by_client = trusting(TokenProfile::Compatible)
        .audience_claim("client_id")
        .audience("c1");
    let null = token(TokenProfile::Compatible, &json!({"aud": null}));
    assert_eq!(verdict(by_client, &null), Ok(()));
}

#[test]
fn a_token_with_padded_base64_is_refused_with_the_reason() {
    let key = VerifyingKey::from_pem(Algorithm::ES256, include_str!("../field/alb-key.pem"));
    let verifier = TokenVerifier::builder()
        .keys(key.unwrap())
        .issuer("https://login.example.test/realms/shop")
        .profile(TokenProfile::Compatible)
        .dangerous_no_audience()
        .build()
        .unwrap();
    let token = include_str!("../field/alb-token.txt").trim();
    let error = verifier.verify_local(token).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::MalformedToken);
    assert!(error.to_string().contains("padded"), "{error}");
}

#[test]
fn an_issuer_that_differs_by_a_slash_is_shown_in_the_error() {
    use std::error::Error as _;

    for (trusted, found) in [
        ("https://idp.example", "https://idp.example/"),
        ("https://idp.example/", "https://idp.example"),
    ] {
        let verifier = builder(TokenProfile::Compatible)
            .issuer(trusted)
            .audience("api");
        let token = token(TokenProfile::Compatible, &json!({"iss": found}));
        let error = verifier.build().unwrap().verify_local(&token).unwrap_err();
        assert_eq!(error.kind(), InvalidIssuer);
        assert!(error.to_string().contains("slash"), "{error}");
        let source = error.source().unwrap().to_string();
        let expected = format!("expected issuer `{trusted}`, but the token says `{found}`");
        assert!(source.starts_with(&expected), "{source}");
    }
    // Text from outside is not repeated.
    let other = token(
        TokenProfile::Compatible,
        &json!({"iss": "https://evil.example"}),
    );
    let verifier = trusting(TokenProfile::Compatible).build().unwrap();
    let error = verifier.verify_local(&other).unwrap_err();
    let source = error.source().unwrap().to_string();
    assert!(source.starts_with("expected issuer `"), "{source}");
    assert!(!source.contains("evil"), "{source}");
}

#[test]
fn the_audiences_that_were_expected_are_in_the_error() {
    use std::error::Error as _;

    let found = json!({"aud": "https://evil.example"});
    let token = token(TokenProfile::Compatible, &found);
    let verifier = trusting(TokenProfile::Compatible).audience("other");
    let error = verifier.build().unwrap().verify_local(&token).unwrap_err();
    assert_eq!(error.kind(), InvalidAudience);
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "expected audience `api` or `other`");
}
