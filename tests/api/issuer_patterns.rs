//! Issuers that differ in one part, such as the tenants of Entra ID.

use serde_json::{Value, json};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::verifier::{IssuerPattern, TokenProfile};
use tower_jwt_auth::{AuthError, AuthErrorKind, TokenVerifier};

use crate::support::{NOW, key, signed};

const TEMPLATE: &str = "https://login.microsoftonline.com/{tid}/v2.0";

fn verifier(pattern: IssuerPattern) -> TokenVerifier {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer_pattern(pattern)
        .audience("api")
        .profile(TokenProfile::Compatible)
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap()
}

fn token(issuer: &str, claims: &Value) -> String {
    let mut all = json!({"iss": issuer, "aud": "api", "sub": "u", "iat": NOW, "exp": NOW + 300});
    let more = claims.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, all.to_string())
}

fn of(tenant: &str) -> String {
    let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    token(&issuer, &json!({"tid": tenant}))
}

fn reason(verifier: &TokenVerifier, token: &str) -> &'static str {
    // Often enough to be cached: the verdict is the same each time.
    let verdicts = (0..4).map(|_| verifier.verify_local(token));
    let reasons = verdicts.map(|verdict| {
        let error = verdict.err();
        error.as_ref().map_or("accepted", AuthError::reason)
    });
    let reasons: Vec<_> = reasons.collect();
    assert!(reasons.iter().all(|one| *one == reasons[0]), "{reasons:?}");
    reasons[0]
}

#[test]
fn only_tenants_that_are_allowed_pass() {
    let pattern = || IssuerPattern::new(TEMPLATE);
    let listed = verifier(pattern().one_of(["aaaa-1", "bbbb-2"]).one_of("cccc-3"));
    let by_function = verifier(pattern().when(|tenant| tenant.starts_with("aaaa")));
    let any = verifier(pattern().dangerous_any());
    for (tenant, expected) in [
        ("aaaa-1", ["accepted"; 3]),
        ("cccc-3", ["accepted", "tenant_not_allowed", "accepted"]),
        ("aaaa", ["tenant_not_allowed", "accepted", "accepted"]),
        (
            "zzzz",
            ["tenant_not_allowed", "tenant_not_allowed", "accepted"],
        ),
        ("", ["invalid_issuer"; 3]),
        ("aaaa-1/x", ["invalid_issuer"; 3]),
        ("aaaa-1%2F", ["invalid_issuer"; 3]),
        ("a aaaa", ["invalid_issuer"; 3]),
        ("aaaa-1?", ["invalid_issuer"; 3]),
    ] {
        let token = of(tenant);
        let seen = [&listed, &by_function, &any].map(|verifier| reason(verifier, &token));
        assert_eq!(seen, expected, "{tenant}");
    }
    let long = of(&"a".repeat(129));
    assert_eq!(reason(&any, &long), "invalid_issuer");
    assert_eq!(reason(&any, &of(&"a".repeat(128))), "accepted");
}

#[test]
fn the_issuer_must_agree_with_the_claim_of_the_tenant() {
    let verifier = verifier(IssuerPattern::new(TEMPLATE).dangerous_any());
    let issuer = "https://login.microsoftonline.com/mine/v2.0";
    for (claims, expected) in [
        (json!({"tid": "mine"}), "accepted"),
        (json!({"tid": "yours"}), "issuer_claim_differs"),
        (json!({"tid": "Mine"}), "issuer_claim_differs"),
        (json!({"tid": null}), "issuer_claim_differs"),
        (json!({"tid": ["mine"]}), "issuer_claim_differs"),
        (json!({}), "issuer_claim_differs"),
    ] {
        let token = token(issuer, &claims);
        assert_eq!(reason(&verifier, &token), expected, "{claims}");
    }
    for issuer in [
        "https://login.microsoftonline.com/mine/v2.0/",
        "https://login.microsoftonline.com/mine",
        "https://login.microsoftonline.com.evil.example/mine/v2.0",
        "xhttps://login.microsoftonline.com/mine/v2.0",
    ] {
        let token = token(issuer, &json!({"tid": "mine"}));
        assert_eq!(reason(&verifier, &token), "invalid_issuer", "{issuer}");
    }
}

#[test]
fn the_claim_may_have_another_name_than_the_placeholder() {
    let pattern = IssuerPattern::new("https://token.actions.example/{slug}").claim("org.slug");
    let verifier = verifier(pattern.one_of(["acme"]));
    let issuer = "https://token.actions.example/acme";
    let good = token(issuer, &json!({"org": {"slug": "acme"}}));
    assert_eq!(reason(&verifier, &good), "accepted");
    let bad = token(issuer, &json!({"slug": "acme"}));
    assert_eq!(reason(&verifier, &bad), "issuer_claim_differs");
}

#[test]
fn a_pattern_works_beside_named_issuers() {
    let verifier = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("https://login.example")
        .issuer_pattern(IssuerPattern::new(TEMPLATE).one_of("mine"))
        .issuer_pattern(IssuerPattern::new("https://sts.windows.net/{tid}/").one_of("mine"))
        .audience("api")
        .profile(TokenProfile::Compatible)
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap();
    let named = token("https://login.example", &json!({}));
    let second = token("https://sts.windows.net/mine/", &json!({"tid": "mine"}));
    for (token, expected) in [
        (named, "accepted"),
        (of("mine"), "accepted"),
        (second, "accepted"),
        (of("yours"), "tenant_not_allowed"),
        (
            token("https://sts.windows.net/x", &json!({})),
            "invalid_issuer",
        ),
    ] {
        assert_eq!(reason(&verifier, &token), expected);
    }
}

#[test]
fn verifiers_with_patterns_can_be_joined() {
    let entra = verifier(IssuerPattern::new(TEMPLATE).one_of("mine"));
    let other = verifier(IssuerPattern::new("https://{tid}.idp.example").dangerous_any());
    let both = TokenVerifier::for_issuers([entra.clone(), other]).unwrap();
    assert_eq!(reason(&both, &of("mine")), "accepted");
    assert_eq!(reason(&both, &of("yours")), "tenant_not_allowed");
    let acme = token("https://acme.idp.example", &json!({"tid": "acme"}));
    assert_eq!(reason(&both, &acme), "accepted");
    let nobody = token("https://idp.example", &json!({"tid": "acme"}));
    assert_eq!(reason(&both, &nobody), "invalid_issuer");
    let twice = TokenVerifier::for_issuers([entra.clone(), entra]).unwrap_err();
    assert!(twice.to_string().contains(TEMPLATE), "{twice}");
}

/// Also if the verifier with the pattern, used alone, has accepted the very same token and caches it.
#[test]
fn a_name_takes_precedence_over_a_pattern() {
    let by_pattern = verifier(IssuerPattern::new(TEMPLATE).one_of("mine"));
    let mine = of("mine");
    assert_eq!(reason(&by_pattern, &mine), "accepted");
    let by_name = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("https://login.microsoftonline.com/mine/v2.0")
        .audience("another api")
        .profile(TokenProfile::Compatible)
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap();
    let both = TokenVerifier::for_issuers([by_pattern, by_name]).unwrap();
    assert_eq!(reason(&both, &mine), "invalid_audience");
}

#[test]
fn a_function_that_panics_is_a_fault_of_the_service() {
    let verifier = verifier(IssuerPattern::new(TEMPLATE).when(|_| panic!("no")));
    let error = verifier.verify_local(&of("mine")).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Internal);
}

#[test]
fn an_impossible_pattern_is_refused_with_advice() {
    let refused = |pattern: IssuerPattern| {
        let builder = TokenVerifier::builder().keys(key().verifying_key());
        let builder = builder.issuer_pattern(pattern).audience("api");
        builder.build().unwrap_err().to_string()
    };
    let any = |template: &str| IssuerPattern::new(template).dangerous_any();
    for template in [
        "",
        "https://x.example",
        "{tid}",
        "https://x/{a}/{b}",
        "https://x/{a",
        "https://x/}{",
    ] {
        let text = refused(any(template));
        assert!(
            text.contains("exactly one placeholder"),
            "{template}: {text}"
        );
    }
    assert!(refused(any("https://x/{}")).contains("a placeholder without a name"));
    assert!(refused(any(" https://x/{a}")).contains("white space"));
    assert!(refused(IssuerPattern::new(TEMPLATE)).contains("allows nobody: call `one_of`"));
    let odd = IssuerPattern::new(TEMPLATE).one_of(["ok", "a/b"]);
    assert!(refused(odd).contains("can never have `a/b` in it"));
}
