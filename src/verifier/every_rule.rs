//! Tests that every rule applies to a cached token as it does to a new one.
#![cfg(feature = "cache")]

use std::time::Duration;

use serde_json::{Value, json};

use super::service::Issuers;
use super::single::Single;
use super::{IssuerPattern, TokenProfile, TokenVerifier, TokenVerifierBuilder};
use crate::claims::TokenType;
use crate::clock::ManualClock;
use crate::codec::sign;
use crate::error::AuthErrorKind::{
    self, Expired, InvalidAudience, InvalidClaim, InvalidIssuer, NotYetValid, Revoked, WrongType,
};
use crate::keys::{Algorithm, SigningKey, Thumbprint};
use crate::policy::{Policy, Possession};
use crate::revocation::{MemoryRevocations, RevocationStore};

const NOW: u64 = 1_767_225_600;

/// A rule by which a token that was accepted and cached must be refused.
struct Rule {
    name: &'static str,
    typ: &'static str,
    /// Claims that replace or complete those that every token has.
    claims: Value,
    /// A verifier that accepts the token.
    before: Setting,
    /// The same verifier with the rule.
    after: Setting,
    refused: AuthErrorKind,
}

type Setting = fn(TokenVerifierBuilder) -> TokenVerifierBuilder;

fn rule(name: &'static str, claims: Value, after: Setting, refused: AuthErrorKind) -> Rule {
    Rule {
        name,
        typ: "at+jwt",
        claims,
        before: |builder| builder.issuer("me").audience("api"),
        after,
        refused,
    }
}

fn at(seconds: u64) -> ManualClock {
    ManualClock::at_unix_seconds(seconds)
}

fn tenants() -> IssuerPattern {
    IssuerPattern::new("tenant-{tid}")
}

fn rules() -> Vec<Rule> {
    vec![
        rule(
            "issuers",
            json!({}),
            |builder| builder.issuer("you").audience("api"),
            InvalidIssuer,
        ),
        Rule {
            before: |builder| {
                builder
                    .issuer_pattern(tenants().one_of("1"))
                    .audience("api")
            },
            ..rule(
                "issuer_patterns",
                json!({"iss": "tenant-1", "tid": "1"}),
                |builder| {
                    builder
                        .issuer_pattern(tenants().one_of("2"))
                        .audience("api")
                },
                InvalidIssuer,
            )
        },
        rule(
            "audiences",
            json!({}),
            |builder| builder.issuer("me").audience("x"),
            InvalidAudience,
        ),
        Rule {
            before: |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .audience_claim("client")
            },
            ..rule(
                "audience_claim",
                json!({"aud": null, "client": "api"}),
                |builder| builder.issuer("me").audience("x").audience_claim("client"),
                InvalidAudience,
            )
        },
        Rule {
            typ: "JWT",
            ..rule(
                "token_type",
                json!({}),
                |builder| {
                    builder
                        .issuer("me")
                        .audience("api")
                        .token_type(TokenType::Refresh)
                },
                WrongType,
            )
        },
        Rule {
            before: |builder| compatible(builder).token_type(TokenType::Access),
            ..rule(
                "token_type, by the header alone",
                json!({"type": null}),
                |builder| compatible(builder).token_type(TokenType::Refresh),
                WrongType,
            )
        },
        Rule {
            typ: "JWT",
            ..rule(
                "profile",
                json!({"client_id": "c"}),
                |builder| {
                    builder
                        .issuer("me")
                        .audience("api")
                        .profile(TokenProfile::Rfc9068)
                },
                WrongType,
            )
        },
        Rule {
            typ: "JWT",
            before: |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .profile(TokenProfile::LogoutToken)
            },
            ..rule(
                "profile, of a logout token",
                json!({"type": null, "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
                compatible,
                WrongType,
            )
        },
        rule(
            "leeway",
            json!({"exp": NOW - 20}),
            |builder| builder.issuer("me").audience("api").leeway(Duration::ZERO),
            Expired,
        ),
        rule(
            "max_lifetime",
            json!({}),
            |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .max_lifetime(Duration::from_secs(1))
            },
            InvalidClaim,
        ),
        Rule {
            before: |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .claim_one_of("plan", ["pro", "free"])
            },
            ..rule(
                "claim_rules",
                json!({"plan": "free"}),
                |builder| {
                    builder
                        .issuer("me")
                        .audience("api")
                        .claim_one_of("plan", ["pro"])
                },
                InvalidClaim,
            )
        },
        Rule {
            before: |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .dangerous_accept_bound_tokens()
            },
            ..rule(
                "takes_bound_tokens",
                json!({"cnf": {"jkt": "x"}}),
                |builder| builder.issuer("me").audience("api"),
                InvalidClaim,
            )
        },
        rule(
            "exp",
            json!({}),
            |builder| {
                builder
                    .issuer("me")
                    .audience("api")
                    .clock(at(NOW + 300 + 30))
            },
            Expired,
        ),
        rule(
            "nbf",
            json!({"nbf": NOW}),
            |builder| builder.issuer("me").audience("api").clock(at(NOW - 31)),
            NotYetValid,
        ),
        rule(
            "iat",
            json!({"nbf": null}),
            |builder| builder.issuer("me").audience("api").clock(at(NOW - 31)),
            NotYetValid,
        ),
    ]
}

fn compatible(builder: TokenVerifierBuilder) -> TokenVerifierBuilder {
    builder
        .issuer("me")
        .audience("api")
        .profile(TokenProfile::Compatible)
}

impl Rule {
    fn token(&self, key: &SigningKey) -> String {
        let mut claims = json!({
            "iss": "me", "aud": "api", "sub": "u", "jti": "1", "type": "access", "iat": NOW,
            "exp": NOW + 300,
        });
        if let (Some(claims), Some(others)) = (claims.as_object_mut(), self.claims.as_object()) {
            claims.extend(others.clone());
            claims.retain(|_, value| !value.is_null());
        }
        sign(key, self.typ, claims.to_string().as_bytes()).unwrap()
    }
}

fn single(key: &SigningKey, setting: Setting) -> Single {
    let builder = TokenVerifier::builder()
        .keys(key.verifying_key())
        .clock(at(NOW));
    match setting(builder).build().unwrap().issuers {
        Issuers::One(single) => single,
        Issuers::Many(_) => panic!("one"),
    }
}

fn kind(verifier: &Single, token: &str) -> Option<AuthErrorKind> {
    let refused = verifier
        .verify_local(token.as_bytes(), &Possession::BEARER)
        .err()?;
    Some(refused.kind())
}

/// Returns a verifier that has accepted this token often enough to cache it.
fn that_remembers(key: &SigningKey, setting: Setting, token: &str) -> Single {
    let verifier = single(key, setting);
    for _ in 0..3 {
        assert_eq!(kind(&verifier, token), None);
    }
    assert!(verifier.remembers(token.as_bytes()));
    verifier
}

#[test]
fn each_rule_refuses_a_cached_token_as_it_does_a_new_one() {
    for algorithm in [Algorithm::EdDSA, Algorithm::HS256] {
        let key = SigningKey::generate(algorithm).unwrap();
        for rule in rules() {
            let token = rule.token(&key);
            let memory = that_remembers(&key, rule.before, &token);
            let refused = single(&key, rule.after).with_memory_of(memory).unwrap();
            assert!(refused.remembers(token.as_bytes()), "{}", rule.name);
            assert_eq!(kind(&refused, &token), Some(rule.refused), "{}", rule.name);
            let new = single(&key, rule.after);
            assert_eq!(kind(&new, &token), Some(rule.refused), "{}", rule.name);
            // It is refused by the rule, and not because the cache has moved to another verifier.
            let memory = that_remembers(&key, rule.before, &token);
            let accepted = single(&key, rule.before).with_memory_of(memory).unwrap();
            assert_eq!(kind(&accepted, &token), None, "{}", rule.name);
        }
    }
}

#[test]
fn a_cached_token_needs_the_key_that_it_is_bound_to_each_time() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let [ours, other] = [Thumbprint([7; 32]), Thumbprint([8; 32])];
    let claims = json!({"cnf": {"jkt": ours.to_string()}});
    let setting: Setting = |builder| builder.issuer("me").audience("api");
    let token = rule("bound", claims, setting, InvalidClaim).token(&key);
    let verifier = single(&key, setting);
    let held_by = |key| Possession {
        key,
        ..Possession::BEARER
    };
    let told = |key| {
        let verdict = verifier.verify_local(token.as_bytes(), &held_by(key));
        verdict.map_or_else(|error| error.reason(), |token| token.binding().as_str())
    };
    for _ in 0..3 {
        assert_eq!(told(Some(ours)), "dpop");
        assert_eq!(told(Some(other)), "bound_to_other_key");
        assert_eq!(told(None), "bound_token");
    }
    assert!(verifier.remembers(token.as_bytes()));
}

#[test]
fn a_cached_token_that_has_expired_is_dropped() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    for rule in rules() {
        let token = rule.token(&key);
        let memory = that_remembers(&key, rule.before, &token);
        let refused = single(&key, rule.after).with_memory_of(memory).unwrap();
        assert_eq!(kind(&refused, &token), Some(rule.refused), "{}", rule.name);
        let is_forgotten = !refused.remembers(token.as_bytes());
        assert_eq!(is_forgotten, rule.refused == Expired, "{}", rule.name);
    }
}

#[test]
fn a_token_without_a_required_claim_is_never_cached() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let setting: Setting = |builder| builder.issuer("me").audience("api").require("tenant");
    let token = rule("required", json!({}), setting, InvalidClaim).token(&key);
    let verifier = single(&key, setting);
    for _ in 0..5 {
        assert_eq!(kind(&verifier, &token), Some(InvalidClaim));
        assert!(!verifier.remembers(token.as_bytes()));
    }
}

#[tokio::test]
async fn a_cached_token_is_refused_once_it_is_revoked() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let store = MemoryRevocations::with_clock(at(NOW));
    let token = rule("revocation", json!({}), |builder| builder, Revoked).token(&key);
    let verifier = TokenVerifier::builder()
        .keys(key.verifying_key())
        .issuer("me")
        .audience("api")
        .clock(at(NOW))
        .revocation(store.clone())
        .build()
        .unwrap();
    for _ in 0..3 {
        assert!(verifier.verify(&token).await.is_ok());
    }
    let revocation = verifier.verify(&token).await.unwrap().revocation();
    store.revoke(&[revocation.unwrap()]).await.unwrap();
    let refused = verifier.verify(&token).await.unwrap_err();
    assert_eq!(refused.kind(), Revoked);
}

#[test]
fn each_rule_of_a_policy_is_in_the_table() {
    /// Fails to compile when a policy gets another field: then add its rule to the table.
    fn names(policy: &Policy) -> [&'static str; 10] {
        let Policy {
            issuers: _,
            issuer_patterns: _,
            audiences: _,
            audience_claim: _,
            token_type: _,
            profile: _,
            leeway: _,
            max_lifetime: _,
            claim_rules: _,
            takes_bound_tokens: _,
            needs_expiry: _, // on in every verifier; off only for answers about opaque tokens
            required: _,     // a token without such a claim is never cached
            scope_claims: _, // not a rule
            role_claims: _,  // not a rule
        } = policy;
        [
            "issuers",
            "issuer_patterns",
            "audiences",
            "audience_claim",
            "token_type",
            "profile",
            "leeway",
            "max_lifetime",
            "claim_rules",
            "takes_bound_tokens",
        ]
    }
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let any = single(&key, |builder| builder.issuer("me").audience("api"));
    let rules = rules();
    for name in names(any.policy()) {
        assert!(rules.iter().any(|rule| rule.name == name), "{name}");
    }
}
