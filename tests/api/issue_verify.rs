//! Issuing tokens and verifying them: claims, lifetimes, the form of a token, and what is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tower_jwt_auth::AuthErrorKind::{self, *};
use tower_jwt_auth::claims::RESERVED_CLAIMS;
use tower_jwt_auth::issuer::IssueError;
use tower_jwt_auth::{Algorithm, ConfigError, SigningKey, TokenIssuer, TokenVerifier};

use crate::support::{NOW, SECRET, builder, claims, key, signed, signed_with, tokens, verifier};

fn parts(token: &str) -> Vec<serde_json::Value> {
    let decode = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    token.split('.').take(2).map(decode).collect()
}

fn kind(token: &str) -> AuthErrorKind {
    verifier().verify_local(token).unwrap_err().kind()
}

const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

#[test]
fn an_access_token_has_the_documented_header_and_claims() {
    let tokens = tokens();
    let token = tokens
        .access("alice")
        .scopes(["read", "write"])
        .claim("tenant", 7)
        .claims(serde_json::json!({"name": "Alice", "roles": ["a"]}))
        .session("s1")
        .issue()
        .unwrap();
    let parts = parts(&token);
    assert_eq!(
        parts[0],
        serde_json::json!({"alg": "HS256", "typ": "at+jwt", "kid": key().key_id()})
    );
    let mut claims = parts[1].clone();
    let jti = claims["jti"].take();
    assert_eq!(
        URL_SAFE_NO_PAD.decode(jti.as_str().unwrap()).unwrap().len(),
        24
    ); // OWASP ASVS 5.0 V11.5.1
    assert_eq!(
        claims,
        serde_json::json!({
            "iss": "me", "aud": "api", "sub": "alice", "type": "access", "iat": NOW, "nbf": NOW,
            "exp": NOW + 900, "scope": "read write", "sid": "s1", "tenant": 7, "name": "Alice",
            "roles": ["a"], "jti": null,
        })
    );
    let verified = tokens.verifier().verify_local(&token).unwrap();
    assert_eq!(verified.issuer(), Some("me"));
    assert_eq!(verified.subject(), Some("alice"));
    assert_eq!(verified.session_id(), Some("s1"));
    assert_eq!(verified.token_id(), jti.as_str());
    assert_eq!(verified.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert!(verified.has_scope("write") && !verified.has_scope("rea"));
    assert_eq!(verified.expires_at().unwrap().as_secs(), NOW + 900);
    assert_eq!(verified.issued_at().unwrap().as_secs(), NOW);
}

#[test]
fn a_refresh_token_lives_30_days_and_is_not_an_access_token() {
    let tokens = tokens();
    let token = tokens.refresh("alice").issue().unwrap();
    let parts = parts(&token);
    assert_eq!(parts[0]["typ"], "rt+jwt");
    assert_eq!(parts[1]["type"], "refresh");
    assert_eq!(parts[1]["exp"], NOW + 2_592_000);
    assert_eq!(kind(&token), WrongType);
    assert!(tokens.refresh_verifier().verify_local(&token).is_ok());

    let access = tokens.access("alice").issue().unwrap();
    let error = tokens.refresh_verifier().verify_local(&access).unwrap_err();
    assert_eq!(error.kind(), WrongType);
}

#[test]
fn a_pair_is_a_token_response() {
    let pair = tokens()
        .pair("alice")
        .scope("read")
        .claim("tenant", 7)
        .issue()
        .unwrap();
    let json = serde_json::to_value(&pair).unwrap();
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 900);
    assert_eq!(json["refresh_expires_in"], 2_592_000);
    let access = verifier()
        .verify_local(json["access_token"].as_str().unwrap())
        .unwrap();
    let refresh = json["refresh_token"].as_str().unwrap();
    let refresh = tokens().refresh_verifier().verify_local(refresh).unwrap();
    assert!(access.has_scope("read") && refresh.has_scope("read"));
    assert_ne!(access.token_id(), refresh.token_id());
    let debug = format!("{pair:?}");
    assert!(!debug.contains(&pair.access_token) && !debug.contains(&pair.refresh_token));
}

#[test]
fn reserved_claims_cannot_be_overwritten() {
    for name in RESERVED_CLAIMS {
        let reserved = Err(IssueError::ReservedClaim(name.into()));
        assert_eq!(tokens().access("alice").claim(name, "x").issue(), reserved);
        let map = serde_json::json!({ name: "x" });
        assert_eq!(tokens().access("alice").claims(map).issue(), reserved);
        assert!(tokens().pair("alice").claim(name, "x").issue().is_err());
    }
}

#[test]
fn what_cannot_be_issued_is_an_error_that_says_why() {
    #[derive(Serialize)]
    struct NotAnObject(u8);
    let tokens = tokens();
    for (result, text) in [
        (tokens.access("").issue(), "the subject is empty"),
        (
            tokens.access("a").scope("a\tb").issue(),
            "a scope must be printable ASCII",
        ),
        (
            tokens.access("a").scope("a\\b").issue(),
            "a scope must be printable ASCII",
        ),
        (
            tokens.access("a").scope("a\"b").issue(),
            "a scope must be printable ASCII",
        ),
        (
            tokens.access("a").scopes(["\u{e9}"]).issue(),
            "a scope must be printable ASCII",
        ),
        (
            tokens.access("a").ttl(Duration::ZERO).issue(),
            "the lifetime is out of range",
        ),
        (
            tokens.access("a").ttl(Duration::MAX).issue(),
            "the lifetime is out of range",
        ),
        (
            tokens.access("a").claims(NotAnObject(1)).issue(),
            "the claims are not a struct or a map with string keys",
        ),
        (
            tokens.access("a").claim("x", f64::NAN).claims(5).issue(),
            "the claim",
        ),
        (
            tokens.access("a").claim("big", "x".repeat(9000)).issue(),
            "the token would be longer",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn what_a_verifier_would_refuse_is_not_issued() {
    let deep = (0..40).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let error = tokens()
        .access("a")
        .claim("deep", deep)
        .issue()
        .unwrap_err();
    assert!(matches!(error, IssueError::InvalidClaims), "{error:?}");
    // Otherwise the token would outlive its revocation.
    let tokens = tokens();
    for (request, longest) in [(tokens.access("a"), 900), (tokens.refresh("a"), 2_592_000)] {
        assert!(request.ttl(Duration::from_secs(longest)).issue().is_ok());
    }
    let second = Duration::from_secs(1);
    for longer in [
        tokens.access("a").ttl(tokens.access_ttl() + second),
        tokens.refresh("a").ttl(tokens.refresh_ttl() + second),
    ] {
        assert_eq!(longer.issue().unwrap_err(), IssueError::InvalidLifetime);
    }
    let hour = Duration::from_secs(3600);
    let longer = builder().0.max_access_ttl(hour).build().unwrap();
    let token = longer.access("a").ttl(hour).issue().unwrap();
    assert_eq!(
        kind(&token),
        InvalidClaim,
        "nor one issued before the lifetimes were shortened"
    );
}

#[test]
fn scopes_may_come_from_one_text_that_may_be_empty() {
    let tokens = tokens();
    for (text, scopes) in [("", &[][..]), ("a", &["a"]), ("a  b ", &["a", "b"])] {
        let token = tokens.access("alice").scope(text).issue().unwrap();
        let verified = tokens.verifier().verify_local(&token).unwrap();
        assert_eq!(verified.scopes().collect::<Vec<_>>(), scopes);
    }
}

#[test]
fn an_issuer_and_an_audience_are_left_out_only_by_saying_so() {
    let missing_issuer = TokenIssuer::builder(key())
        .audience("api")
        .build()
        .unwrap_err();
    assert_eq!(missing_issuer, ConfigError::MissingIssuer);
    let missing_audience = TokenIssuer::builder(key())
        .issuer("me")
        .build()
        .unwrap_err();
    assert_eq!(missing_audience, ConfigError::MissingAudience);
    let keys = key().verifying_key();
    assert!(
        TokenVerifier::builder()
            .keys(keys.clone())
            .issuer("")
            .audience("api")
            .build()
            .is_err()
    );
    assert!(
        TokenVerifier::builder()
            .keys(keys.clone())
            .issuer("me")
            .audience("")
            .build()
            .is_err()
    );
    assert_eq!(
        TokenVerifier::builder()
            .keys(keys)
            .issuer("me")
            .audience("api")
            .leeway(Duration::from_secs(301))
            .build()
            .unwrap_err(),
        ConfigError::LeewayTooLong
    );

    let open = TokenIssuer::builder(key())
        .dangerous_no_issuer()
        .dangerous_no_audience();
    let tokens = open.build().unwrap();
    let token = tokens.access("alice").issue().unwrap();
    assert!(parts(&token)[1].get("iss").is_none() && parts(&token)[1].get("aud").is_none());
    assert!(tokens.verifier().verify_local(&token).is_ok());
}

#[test]
fn several_issuers_and_audiences_may_be_accepted() {
    let verifier = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuers(["me", "you"])
        .audience("api")
        .audience("admin")
        .build()
        .unwrap();
    for (iss, aud, good) in [
        ("me", "admin", true),
        ("you", "api", true),
        ("him", "api", false),
    ] {
        let tokens = TokenIssuer::builder(key())
            .issuer(iss)
            .audience(aud)
            .audience("x")
            .build();
        let token = tokens.unwrap().access("alice").issue().unwrap();
        assert_eq!(verifier.verify_local(&token).is_ok(), good, "{iss} {aud}");
    }
}

#[test]
fn an_issuer_that_is_set_again_replaces_the_one_before() {
    let verifier = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuers(["you", "him"])
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    for (iss, good) in [("me", true), ("you", false), ("him", false)] {
        let tokens = TokenIssuer::builder(key()).issuer(iss).audience("api");
        let token = tokens.build().unwrap().access("alice").issue().unwrap();
        assert_eq!(verifier.verify_local(&token).is_ok(), good, "{iss}");
    }
}

#[test]
fn a_verifier_needs_one_set_or_source_of_keys() {
    let named = || TokenVerifier::builder().issuer("me").audience("api");
    let none = named().build().unwrap_err().to_string();
    assert!(none.contains("TokenVerifier::builder().keys(..)"), "{none}");
    let key = key().verifying_key();
    let two = named().keys(key.clone()).keys(key).build().unwrap_err();
    assert!(
        two.to_string().contains("two sets or sources of keys"),
        "{two}"
    );
}

#[test]
fn the_time_is_read_from_the_clock() {
    let (builder, clock) = builder();
    let tokens = builder.leeway(Duration::from_secs(10)).build().unwrap();
    let token = tokens
        .access("alice")
        .ttl(Duration::from_secs(60))
        .issue()
        .unwrap();
    let verify = || {
        tokens
            .verifier()
            .verify_local(&token)
            .map_err(|error| error.kind())
    };
    clock.advance(Duration::from_secs(69));
    assert!(verify().is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(verify().unwrap_err(), Expired);
    clock.set(std::time::UNIX_EPOCH + Duration::from_secs(NOW - 11));
    assert_eq!(verify().unwrap_err(), NotYetValid);
}

#[test]
fn typed_claims_are_parsed_once_per_type() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PARSED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Debug)]
    struct Counted;
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            PARSED.fetch_add(1, Ordering::SeqCst);
            serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
        }
    }
    #[derive(Debug, Deserialize)]
    struct Sub {
        sub: String,
    }
    let verified = verifier()
        .verify_local(&tokens().access("alice").issue().unwrap())
        .unwrap();
    for _ in 0..3 {
        verified.clone().claims::<Counted>().unwrap();
        assert_eq!(verified.claims::<Sub>().unwrap().sub, "alice");
    }
    assert_eq!(PARSED.load(Ordering::SeqCst), 1);
}

#[test]
fn errors_name_the_claim_that_does_not_fit_but_not_its_value() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Tenant {
        tenant: u32,
    }
    let tokens = tokens();
    let error = |token: &str| {
        let error = verifier()
            .verify_local(token)
            .unwrap()
            .claims::<Tenant>()
            .unwrap_err();
        assert_eq!(error.kind(), ClaimsMismatch);
        std::error::Error::source(&error).unwrap().to_string()
    };
    let missing = error(&tokens.access("alice").issue().unwrap());
    assert!(
        missing.contains("Tenant") && missing.contains("`tenant` is missing"),
        "{missing}"
    );
    let wrong = error(
        &tokens
            .access("alice")
            .claim("tenant", "s3cr3t")
            .issue()
            .unwrap(),
    );
    assert!(
        wrong.contains("the claim `tenant` is a string") && !wrong.contains("s3cr3t"),
        "{wrong}"
    );
}

#[test]
fn the_form_of_a_token_is_strict() {
    let good = signed(HEADER, claims(""));
    assert!(verifier().verify_local(&good).is_ok());
    let dots = good.split('.').collect::<Vec<_>>();
    let mut bad = vec![
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{}.{}", dots[0], dots[1]),
        format!("{}.{}.{}.x.y", dots[0], dots[1], dots[2]),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        good.replace('.', "\u{ff0e}"),
        format!("{good}+"),
        format!("{good}/"),
        r#"{"payload":"e30","signatures":[]}"#.into(), // JSON serialization
        "x".repeat(8193),
        format!("{}.{}.{}", "A".repeat(6000), dots[1], dots[2]),
        "\u{feff}".to_owned() + &good,
    ];
    bad.push(signed(b"\xff\xfe{\0}\0", claims(""))); // UTF-16
    bad.push(signed(b"\xef\xbb\xbf{\"alg\":\"HS256\"}", claims(""))); // BOM
    bad.push(signed(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", claims("")));
    bad.push(signed("{}", claims("")));
    bad.push(signed("[]", claims("")));
    bad.push(signed("null", claims("")));
    bad.push(signed(r#"{"alg":5}"#, claims("")));
    bad.push(signed(r#"{"alg":"HS256","alg":"HS256"}"#, claims("")));
    bad.push(signed(r#"{"alg":"HS256","x":1,"\u0078":2}"#, claims("")));
    bad.push(signed(r#"{"alg":"HS256"} "#.to_owned() + "x", claims("")));
    bad.push(signed(HEADER, claims(r#","sub":"bob""#)));
    bad.push(signed(HEADER, claims(r#","x":1,"x":2"#)));
    bad.push(signed(HEADER, "[]"));
    bad.push(signed(HEADER, "5"));
    bad.push(signed(HEADER, ""));
    bad.push(signed(HEADER, claims("") + "}"));
    bad.push(signed(
        HEADER,
        claims(&format!(r#","x":{}1{}"#, "[".repeat(40), "]".repeat(40))),
    ));
    bad.push(signed(
        HEADER,
        claims(&format!(
            r#","x":{}1{}"#,
            "{\"a\":".repeat(40),
            "}".repeat(40)
        )),
    ));
    bad.push(signed(HEADER, b"\xef\xbb\xbf{}"));
    for token in &bad {
        assert_eq!(kind(token), MalformedToken, "{token}");
    }
    let nested = claims(&format!(r#","x":{}1{}"#, "[".repeat(30), "]".repeat(30)));
    assert!(verifier().verify_local(&signed(HEADER, nested)).is_ok());
}

#[test]
fn base64_must_be_canonical() {
    // The last character of a 32-byte signature carries two bits that must be zero.
    let good = signed(HEADER, claims(""));
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    for other in index + 1..index + 4 {
        let mut bad = good.clone();
        bad.pop();
        bad.push(char::from(alphabet.as_bytes()[other]));
        assert_eq!(kind(&bad), MalformedToken);
    }
}

#[test]
fn a_header_with_extensions_is_refused() {
    for member in [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":[]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""cty":"JWT""#,
        r#""cty":"jwt""#,
    ] {
        let token = signed(format!(r#"{{"alg":"HS256",{member}}}"#), claims(""));
        assert_eq!(kind(&token), UnsupportedAlgorithm, "{member}");
    }
}

#[test]
fn keys_in_a_header_are_never_used() {
    // The attacker signs with a secret that is in the header.
    let own = [7_u8; 32];
    let k = URL_SAFE_NO_PAD.encode(own);
    for member in [
        format!(r#""jwk":{{"kty":"oct","k":"{k}"}}"#),
        r#""jku":"https://attacker.example/keys""#.into(),
        r#""x5u":"https://attacker.example/cert""#.into(),
        r#""x5c":["AAAA"]"#.into(),
    ] {
        let header = format!(r#"{{"alg":"HS256",{member}}}"#);
        assert_eq!(
            kind(&signed_with(&own, &header, claims(""))),
            InvalidSignature
        );
        assert!(
            verifier()
                .verify_local(&signed(&header, claims("")))
                .is_ok()
        );
    }
}

#[test]
fn an_algorithm_is_exactly_that_of_the_key() {
    for alg in [
        "none",
        "None",
        "nOnE",
        "hs256",
        "HS384",
        "RS256",
        "ES256",
        "PBES2-HS256+A128KW",
    ] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        assert_eq!(
            kind(&signed(&header, claims(""))),
            UnsupportedAlgorithm,
            "{alg}"
        );
        let token = signed(&header, claims(""));
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert_eq!(kind(unsigned), UnsupportedAlgorithm, "{alg}");
    }
}

#[test]
fn an_hmac_of_a_public_key_is_refused() {
    // CVE-2026-34950
    let pem = include_str!("../keys/rsa2048.spki.pem");
    let rsa = tower_jwt_auth::VerifyingKey::from_pem(Algorithm::RS256, pem).unwrap();
    let jwk = rsa.to_jwk().unwrap().to_string();
    let kid = rsa.key_id().to_owned();
    let verifier = TokenVerifier::builder()
        .keys(rsa)
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    for secret in [pem, pem.trim(), &format!(" \n{pem}"), jwk.as_str()] {
        for header in [
            format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#),
            r#"{"alg":"HS256"}"#.into(),
        ] {
            let token = signed_with(secret.as_bytes(), header, claims(""));
            let error = verifier.verify_local(&token).unwrap_err();
            assert_eq!(error.kind(), UnsupportedAlgorithm);
        }
        let as_rs256 = format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
        let token = signed_with(secret.as_bytes(), as_rs256, claims(""));
        assert_eq!(
            verifier.verify_local(&token).unwrap_err().kind(),
            InvalidSignature
        );
    }
}

#[test]
fn one_rsa_key_serves_one_algorithm() {
    let pem = include_str!("../keys/rsa2048.pkcs8.pem");
    let signing = SigningKey::from_pem(Algorithm::PS256, pem)
        .unwrap()
        .with_key_id("k")
        .unwrap();
    let token = TokenIssuer::builder(signing)
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    let token = token.access("alice").issue().unwrap();
    let rs256 = SigningKey::from_pem(Algorithm::RS256, pem)
        .unwrap()
        .with_key_id("k")
        .unwrap();
    let verifier = TokenVerifier::builder()
        .keys(rs256.verifying_key())
        .issuer("me")
        .audience("api");
    let error = verifier.build().unwrap().verify_local(&token).unwrap_err();
    assert_eq!(error.kind(), UnsupportedAlgorithm);
}

#[test]
fn typ_may_be_missing_and_must_fit_when_it_is_there() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"] {
        let token = signed(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), claims(""));
        assert!(verifier().verify_local(&token).is_ok(), "{typ}");
    }
    assert!(
        verifier()
            .verify_local(&signed(r#"{"alg":"HS256"}"#, claims("")))
            .is_ok()
    );
    for typ in [
        "rt+jwt",
        "logout+jwt",
        "dpop+jwt",
        "statuslist+jwt",
        "id+jwt",
        "",
        "at+jwtx",
    ] {
        let token = signed(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), claims(""));
        assert_eq!(kind(&token), WrongType, "{typ}");
    }
}

#[test]
fn the_signature_comes_before_the_claims() {
    // OWASP ASVS 5.0 V9.1.1: the error about a forged token contains nothing of the token.
    let expired = claims("").replace(&format!("{}", NOW + 900), "1");
    assert_eq!(kind(&signed(HEADER, &expired)), Expired);
    assert_eq!(
        kind(&signed_with(&[9; 32], HEADER, &expired)),
        InvalidSignature
    );
    assert_eq!(
        kind(&signed_with(&[9; 32], HEADER, "no json")),
        InvalidSignature
    );
}

#[test]
fn escaped_claims_are_unescaped() {
    let payload = claims("").replace("\"alice\"", r#""al\u0069ce \ud83d\ude00""#);
    let payload = payload.replace("\"iss\"", r#""is\u0073""#);
    let verified = verifier().verify_local(&signed(HEADER, payload)).unwrap();
    assert_eq!(verified.subject(), Some("alice \u{1f600}"));
    assert_eq!(verified.issuer(), Some("me"));
    assert_eq!(verified.token_id(), Some("j1"));
}

#[test]
fn a_larger_token_is_accepted_where_that_is_asked_for() {
    let token = signed(HEADER, claims(&format!(r#","x":"{}""#, "x".repeat(9000))));
    assert_eq!(kind(&token), MalformedToken);
    let wide = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("me")
        .audience("api")
        .max_token_bytes(20_000)
        .clock(tower_jwt_auth::clock::ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap();
    assert!(wide.verify_local(&token).is_ok());
}

#[test]
fn required_claims_and_lifetimes_are_enforced() {
    let build = || {
        TokenVerifier::builder()
            .keys(key().verifying_key())
            .issuer("me")
            .audience("api")
            .clock(tower_jwt_auth::clock::ManualClock::at_unix_seconds(NOW))
    };
    let token = signed(HEADER, claims(""));
    assert!(
        build()
            .require("jti")
            .require("sub")
            .build()
            .unwrap()
            .verify_local(&token)
            .is_ok()
    );
    let error = build()
        .require("tenant")
        .build()
        .unwrap()
        .verify_local(&token)
        .unwrap_err();
    assert_eq!(error.kind(), InvalidClaim);
    let limit = |seconds| {
        let verifier = build()
            .max_lifetime(Duration::from_secs(seconds))
            .build()
            .unwrap();
        verifier
            .verify_local(&token)
            .map_err(|error| error.kind())
            .err()
    };
    assert_eq!((limit(900), limit(899)), (None, Some(InvalidClaim)));
}

#[test]
fn verifiers_with_other_keys_refuse_the_token() {
    let other = SigningKey::hs256(SECRET.iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>());
    let other = TokenIssuer::builder(other.unwrap())
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    let token = other.access("alice").issue().unwrap();
    assert_eq!(kind(&token), InvalidSignature);
}
