//! The hook that receives each decision of a layer, and the codes of reasons.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
#[cfg(feature = "cache")]
use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::layer::{EmptyBody, Outcome, TokenSource, response_for};
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::verifier::TokenVerifierBuilder;
use tower_jwt_auth::{
    Algorithm, AuthError, AuthErrorKind, JwtAuthLayer, SigningKey, TokenVerifier,
};

use crate::support::{NOW, bearer, builder, claims, key, probe, request, signed, tokens, verifier};

const PAGE: &str = include_str!("../../src/guide/why_401.md");
const HEADER: &str = r#"{"alg":"HS256"}"#;

/// The calls of a hook, as text.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Keeps the outcome and the reason of each decision.
    fn by(&self, layer: JwtAuthLayer) -> JwtAuthLayer {
        let told = self.clone();
        layer.on_decision(move |decision| {
            let text = format!("{} {}", decision.outcome().as_str(), decision.reason());
            told.0.lock().unwrap().push(text);
        })
    }
}

#[derive(Debug)]
struct Down;

impl RevocationStore for Down {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        Err(StoreError::new("no route to host"))
    }
}

fn plain() -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("me")
        .audience("api")
        .clock(ManualClock::at_unix_seconds(NOW))
}

/// A payload with these members.
fn payload(members: &[(&str, &str)]) -> String {
    let times = [("iat", NOW.to_string()), ("exp", (NOW + 900).to_string())];
    let mut all: BTreeMap<&str, String> = BTreeMap::from(times);
    for (name, value) in [
        ("iss", r#""me""#),
        ("aud", r#""api""#),
        ("sub", r#""alice""#),
        ("type", r#""access""#),
        ("jti", r#""j1""#),
    ] {
        all.insert(name, value.into());
    }
    for (name, value) in members {
        all.insert(name, (*value).into());
    }
    all.retain(|_, value| !value.is_empty());
    let members = all
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Requests, each with the reason why it is refused.
fn refused_requests() -> Vec<(&'static str, Request<String>)> {
    let token = tokens().access("alice").issue().unwrap();
    let bearer_token = format!("Bearer {token}");
    let of = |headers: &[(&str, &str)]| request(headers);
    let mut foreign = of(&[("cookie", &format!("t={token}"))]);
    *foreign.method_mut() = http::Method::POST;
    vec![
        ("missing_token", of(&[])),
        ("other_scheme", of(&[("authorization", "Basic eDp5")])),
        ("cookie_of_foreign_page", foreign),
        (
            "two_authorization_headers",
            of(&[("authorization", "a"), ("authorization", "b")]),
        ),
        (
            "authorization_without_token",
            of(&[("authorization", "Bearer ")]),
        ),
        (
            "malformed_authorization",
            of(&[("authorization", "Bearer,x")]),
        ),
        (
            "several_tokens_in_authorization",
            of(&[("authorization", "Bearer a b")]),
        ),
        (
            "two_tokens",
            of(&[("authorization", &bearer_token), ("x-token", &token)]),
        ),
        ("two_cookies", of(&[("cookie", "t=a; t=b")])),
        (
            "two_token_headers",
            of(&[("x-token", "a"), ("x-token", "b")]),
        ),
        ("not_a_bare_token", of(&[("x-token", "Bearer a")])),
        (
            "websocket_marker_without_token",
            of(&[("sec-websocket-protocol", "bearer")]),
        ),
        ("empty_token", of(&[("sec-websocket-protocol", "bearer.")])),
    ]
}

/// Malformed tokens, or tokens that the verifier of [`plain`] refuses, each with the reason.
fn refused_tokens() -> Vec<(&'static str, String)> {
    let good = signed(HEADER, claims(""));
    let with = |members: &[(&str, &str)]| signed(HEADER, payload(members));
    let headed = |header: &str| signed(header, claims(""));
    let long_header = format!(r#"{{"alg":"HS256","x":"{}"}}"#, "x".repeat(4500));
    let long_kid = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "x".repeat(300));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    let later = (NOW + 3600).to_string();
    let past = (NOW - 3600).to_string();
    let long_past = (NOW - 7200).to_string();
    vec![
        ("token_too_long", "x".repeat(10_000)),
        ("token_header_too_long", headed(&long_header)),
        ("padded_base64url", "YQ==.YQ==.YQ==".into()),
        ("foreign_character", "a/b.c.d".into()),
        ("encrypted_token", "a.b.c.d.e".into()),
        ("not_three_parts", "abcd".into()),
        ("signature_not_base64url", format!("{message}.a")),
        ("not_base64url", "a.b.c".into()),
        (
            "not_utf8",
            format!("{}.YQ.YQ", URL_SAFE_NO_PAD.encode(b"\xff")),
        ),
        ("token_header_not_json", headed("[]")),
        ("no_algorithm", headed("{}")),
        ("claims_not_json", signed(HEADER, "[]")),
        (
            "critical_extension",
            headed(r#"{"alg":"HS256","crit":["x"]}"#),
        ),
        (
            "unencoded_payload",
            headed(r#"{"alg":"HS256","b64":false}"#),
        ),
        ("compressed_token", headed(r#"{"alg":"HS256","zip":"DEF"}"#)),
        ("nested_token", headed(r#"{"alg":"HS256","cty":"JWT"}"#)),
        ("unknown_algorithm", headed(r#"{"alg":"none"}"#)),
        ("unsupported_algorithm", headed(r#"{"alg":"RS256"}"#)),
        ("key_id_too_long", headed(&long_kid)),
        (
            "invalid_signature",
            format!("{message}.{flipped}{}", &signature[1..]),
        ),
        ("expired", with(&[("iat", &long_past), ("exp", &past)])),
        ("not_yet_valid", with(&[("nbf", &later)])),
        (
            "issued_in_the_future",
            with(&[("iat", &later), ("exp", &(NOW + 7200).to_string())]),
        ),
        ("invalid_issuer", with(&[("iss", r#""other""#)])),
        ("issuer_missing", with(&[("iss", "")])),
        ("issuer_differs_by_slash", with(&[("iss", r#""me/""#)])),
        ("invalid_audience", with(&[("aud", r#""other""#)])),
        ("audience_missing", with(&[("aud", "")])),
        ("wrong_type", with(&[("type", r#""refresh""#)])),
        (
            "header_of_wrong_type",
            headed(r#"{"alg":"HS256","typ":"rt+jwt"}"#),
        ),
        ("claim_of_wrong_type", with(&[("sub", "5")])),
        ("bound_token", with(&[("cnf", r#"{"jkt":"x"}"#)])),
        ("malformed_date", with(&[("exp", r#""soon""#)])),
        ("no_expiry", with(&[("exp", "")])),
    ]
}

/// Verifiers with other settings, each with a token and the reason why it is refused.
async fn refused_by_setting() -> Vec<(&'static str, TokenVerifier, String)> {
    let named = |id: &str| key().verifying_key().with_key_id(id).unwrap();
    let generated = |id: &str| {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        key.verifying_key().with_key_id(id).unwrap()
    };
    let around = |keys: KeySet| {
        let builder = TokenVerifier::builder()
            .keys(keys)
            .issuer("me")
            .audience("api");
        let clock = ManualClock::at_unix_seconds(NOW);
        builder.clock(clock).build().unwrap()
    };
    let with = |members: &[(&str, &str)]| signed(HEADER, payload(members));
    let issuing = |store| builder().0.revocation(store).build().unwrap();
    let memory = issuing(MemoryRevocations::with_clock(ManualClock::at_unix_seconds(
        NOW,
    )));
    let revoked = memory.access("alice").issue().unwrap();
    let verified = memory.verifier().verify_local(&revoked).unwrap();
    memory.revoke(&verified).await.unwrap();
    let down = builder().0.revocation(Down).build().unwrap();
    let other_kid = signed(r#"{"alg":"HS256","kid":"b"}"#, claims(""));
    vec![
        (
            "unknown_key",
            around(KeySet::new([named("a")]).unwrap()),
            other_kid,
        ),
        (
            "ambiguous_key",
            around(KeySet::new([named("a"), generated("b")]).unwrap()),
            with(&[]),
        ),
        (
            "claim_missing",
            plain().require("tenant").build().unwrap(),
            with(&[]),
        ),
        (
            "claim_value_not_allowed",
            plain().claim_one_of("plan", ["pro"]).build().unwrap(),
            with(&[("plan", r#""free""#)]),
        ),
        (
            "no_issue_date",
            plain()
                .max_lifetime(Duration::from_secs(60))
                .build()
                .unwrap(),
            with(&[("iat", "")]),
        ),
        (
            "lifetime_too_long",
            plain()
                .max_lifetime(Duration::from_secs(60))
                .build()
                .unwrap(),
            with(&[]),
        ),
        ("invalid_claim", memory.verifier(), with(&[("jti", "")])),
        ("revoked", memory.verifier(), revoked),
        (
            "unavailable",
            down.verifier(),
            down.access("alice").issue().unwrap(),
        ),
    ]
}

#[tokio::test]
async fn more_than_forty_reasons_are_distinguished() {
    let told = Told::default();
    let sources = |layer: JwtAuthLayer| {
        layer
            .token_source(TokenSource::cookie("t", ["https://app.example"]).unwrap())
            .token_source(TokenSource::header("x-token").unwrap())
            .token_source(TokenSource::websocket_pair("bearer").unwrap())
            .token_source(TokenSource::websocket_protocol("bearer.").unwrap())
    };
    let mut seen = Vec::new();
    let requests = refused_requests()
        .into_iter()
        .map(|(reason, request)| (reason, verifier(), request));
    let tokens = refused_tokens()
        .into_iter()
        .map(|(reason, token)| (reason, plain().build().unwrap(), bearer(&token)));
    let settings = refused_by_setting()
        .await
        .into_iter()
        .map(|(reason, verifier, token)| (reason, verifier, bearer(&token)));
    for (reason, verifier, request) in requests.chain(tokens).chain(settings) {
        let layer = told.by(sources(JwtAuthLayer::new(verifier)));
        layer.layer(probe()).oneshot(request).await.unwrap();
        let outcome = if reason == "unavailable" {
            "unavailable"
        } else {
            "refused"
        };
        assert_eq!(told.take(), [format!("{outcome} {reason}")]);
        seen.push(reason);
    }
    let number = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() == number && number > 40, "{number}: {seen:?}");
    for reason in seen {
        assert!(
            PAGE.contains(&format!("`{reason}`")),
            "{reason} is not in the guide"
        );
    }
}

#[test]
fn an_error_without_a_finer_reason_has_that_of_its_kind() {
    for &kind in AuthErrorKind::ALL {
        assert_eq!(AuthError::new(kind).reason(), kind.as_str());
    }
    assert!(size_of::<AuthError>() <= 32);
}

#[tokio::test]
async fn each_outcome_is_reported_with_its_details() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let layer = |verifier: TokenVerifier| {
        let told = Arc::clone(&told);
        JwtAuthLayer::new(verifier)
            .token_source(TokenSource::cookie("t", ["https://app.example"]).unwrap())
            .on_decision(move |decision| {
                assert!(decision.duration() < Duration::from_secs(3600));
                told.lock().unwrap().push(format!(
                    "{} {:?} {} {:?} {:?} {}",
                    decision.outcome().as_str(),
                    decision.kind(),
                    decision.token_source(),
                    decision.issuer(),
                    decision.is_cached(),
                    decision.waited(),
                ));
            })
    };
    let down = builder().0.revocation(Down).build().unwrap();
    let token = tokens().access("alice").issue().unwrap();
    let preflight = || {
        let mut request = request(&[
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
        ]);
        *request.method_mut() = http::Method::OPTIONS;
        request
    };
    let cookie = |text: &str| request(&[("cookie", &format!("t={text}"))]);
    let optional = || layer(verifier()).optional_ignoring_bad_cookies();
    for (layer, request, expected) in [
        (
            layer(verifier()),
            bearer(&token),
            r#"accepted None authorization Some("me") Some(false) false"#,
        ),
        (
            layer(verifier()),
            cookie(&token),
            r#"accepted None cookie Some("me") Some(false) false"#,
        ),
        (
            layer(verifier()),
            bearer("x"),
            "refused Some(MalformedToken) authorization None None false",
        ),
        (
            layer(verifier()),
            request(&[]),
            "refused Some(MissingToken) none None None false",
        ),
        (
            layer(down.verifier()),
            bearer(&down.access("alice").issue().unwrap()),
            "unavailable Some(Unavailable) authorization None None true",
        ),
        (
            optional(),
            request(&[]),
            "anonymous None none None None false",
        ),
        (
            optional(),
            cookie("bad"),
            "cookie_ignored Some(MalformedToken) cookie None None false",
        ),
        (
            optional(),
            request(&[("cookie", "t=a; t=b")]),
            "cookie_ignored Some(MalformedRequest) cookie None None false",
        ),
        (
            layer(verifier()).allow_preflight(),
            preflight(),
            "preflight None none None None false",
        ),
    ] {
        layer.layer(probe()).oneshot(request).await.unwrap();
        assert_eq!(*told.lock().unwrap(), [expected]);
        told.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a_refusal_by_an_inner_guard_is_reported_as_well() {
    let told = Told::default();
    let token = tokens().access("alice").issue().unwrap();
    let inner = service_fn(async |_: Request<String>| {
        let error = AuthError::new(AuthErrorKind::InsufficientScope);
        Ok::<Response<String>, Infallible>(response_for(&EmptyBody, error))
    });
    let service = told.by(JwtAuthLayer::new(verifier())).layer(inner);
    service.oneshot(bearer(&token)).await.unwrap();
    assert_eq!(
        told.take(),
        ["accepted accepted", "refused_downstream insufficient_scope"]
    );
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_token_from_the_cache_is_reported_as_cached() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let issuer = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA).unwrap())
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    let layer = {
        let told = Arc::clone(&told);
        JwtAuthLayer::new(issuer.verifier()).on_decision(move |decision| {
            told.lock().unwrap().push(decision.is_cached());
        })
    };
    let token = issuer.access("alice").issue().unwrap();
    for _ in 0..5 {
        layer.layer(probe()).oneshot(bearer(&token)).await.unwrap();
    }
    let told = told.lock().unwrap();
    assert_eq!((told[0], told[4]), (Some(false), Some(true)));
}

#[tokio::test]
async fn a_hook_that_panics_harms_no_request() {
    let layer = JwtAuthLayer::new(verifier()).on_decision(|_| panic!("a fault in the hook"));
    let token = tokens().access("alice").issue().unwrap();
    let response = layer.layer(probe()).oneshot(bearer(&token)).await.unwrap();
    assert_eq!(response.body(), "alice");
}

#[test]
fn the_names_of_outcomes_are_distinct() {
    let mut names: Vec<_> = Outcome::ALL.iter().map(|one| one.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Outcome::ALL.len());
}
