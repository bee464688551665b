//! Services with one flaw each: the kit finds that flaw, and no other.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::{Hardening, TestIssuer, Weakness, find_weaknesses};

use super::hand_made::{Flaw, confused, kit, service};

/// Checks that the kit finds exactly these weaknesses.
async fn check(flaw: Flaw, expected: &[Weakness]) {
    let kit = match flaw {
        Flaw::ForgottenRoute => kit().route(Method::GET, "/late"),
        Flaw::ReadsForm => kit().route(Method::POST, "/orders"),
        _ => kit(),
    };
    let findings = find_weaknesses(service(flaw), &kit).await;
    let mut found: Vec<_> = findings.iter().map(|finding| finding.weakness).collect();
    found.sort_unstable();
    found.dedup();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{flaw:?}:\n{}", texts.join("\n"));
}

#[tokio::test]
async fn a_service_without_a_flaw_passes() {
    check(Flaw::None, &[]).await;
}

#[tokio::test]
async fn unsigned_tokens_are_detected() {
    check(Flaw::AcceptsUnsigned, &[Weakness::Unsigned]).await;
}

#[tokio::test]
async fn unknown_algorithms_are_detected() {
    use Weakness::{AlgorithmConfusion, KeyFromToken, SignatureNotVerified, Unsigned};
    let expected = [
        AlgorithmConfusion,
        KeyFromToken,
        SignatureNotVerified,
        Unsigned,
    ];
    check(Flaw::SkipsUnknownAlgorithms, &expected).await;
}

#[tokio::test]
async fn decoding_without_verifying_is_detected() {
    let findings = find_weaknesses(service(Flaw::NeverVerifies), &kit()).await;
    for weakness in [
        Weakness::Unsigned,
        Weakness::SignatureNotVerified,
        Weakness::KeyIdTrusted,
        Weakness::KeyFromToken,
        Weakness::AlgorithmConfusion,
    ] {
        assert!(
            findings.iter().any(|finding| finding.weakness == weakness),
            "{weakness:?}"
        );
    }
}

#[tokio::test]
async fn a_public_key_as_hmac_secret_is_detected() {
    let issuer = TestIssuer::with_algorithm(Algorithm::ES256).unwrap();
    let jwk = issuer.key().verifying_key().to_jwk().unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let prefix = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    let mut der: Vec<u8> = (0..prefix.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&prefix[at..at + 2], 16).unwrap())
        .collect();
    der.extend(number("x"));
    der.extend(number("y"));
    let base64 = STANDARD.encode(&der);
    let (first, rest) = base64.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{rest}\n-----END PUBLIC KEY-----\n");
    let good = issuer.tokens().access("alice").issue().unwrap();
    for (form, bytes) in [
        ("PEM", pem.clone().into_bytes()),
        ("PEM without its last line break", pem.trim_end().into()),
        ("DER", der),
        ("JWK", jwk.to_string().into_bytes()),
    ] {
        let kit = Hardening::new(&issuer, &good)
            .unwrap()
            .body(|text| text)
            .route(Method::GET, "/");
        let kit = kit.accept(Weakness::Bypass); // each path is the same route
        let findings = find_weaknesses(confused(issuer.tokens(), bytes), &kit).await;
        assert!(!findings.is_empty(), "{form}");
        for finding in findings {
            assert_eq!(finding.weakness, Weakness::AlgorithmConfusion, "{finding}");
            assert!(finding.attack.contains(form), "{finding}");
        }
    }
    let own = b"a key file of its own kind".to_vec();
    let kit = Hardening::new(&issuer, &good)
        .unwrap()
        .body(|text| text)
        .route(Method::GET, "/");
    let kit = kit.accept(Weakness::Bypass).public_key_file(own.clone());
    let findings = find_weaknesses(confused(issuer.tokens(), own), &kit).await;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].weakness, Weakness::AlgorithmConfusion);
}

#[tokio::test]
async fn keys_that_a_token_chooses_are_detected() {
    check(Flaw::KeyFromHeader, &[Weakness::KeyFromToken]).await;
    check(Flaw::KeyFromPath, &[Weakness::KeyIdTrusted]).await;
}

#[tokio::test]
async fn ignored_extensions_and_duplicates_are_detected() {
    check(Flaw::IgnoresCrit, &[Weakness::CriticalHeaderIgnored]).await;
    check(Flaw::FirstDuplicateCounts, &[Weakness::DuplicateMember]).await;
}

#[tokio::test]
async fn unchecked_times_are_detected() {
    use Weakness::{Expired, IssuedInFuture, MalformedClaim, MissingClaim, NotYetValid};
    check(
        Flaw::NoExp,
        &[
            Expired,
            MissingClaim,
            MalformedClaim,
            Weakness::DuplicateMember,
        ],
    )
    .await;
    check(Flaw::ExpIsOptional, &[MissingClaim]).await;
    check(Flaw::ExpAsTextPasses, &[MalformedClaim]).await;
    check(Flaw::NoNbf, &[NotYetValid, MalformedClaim]).await;
    check(Flaw::NoIat, &[IssuedInFuture, MalformedClaim]).await;
}

#[tokio::test]
async fn unchecked_issuers_and_audiences_are_detected() {
    use Weakness::{Audience, DuplicateMember, Issuer, MalformedClaim, MissingClaim};
    check(
        Flaw::NoIss,
        &[Issuer, MissingClaim, MalformedClaim, DuplicateMember],
    )
    .await;
    check(Flaw::IssByItsStart, &[Issuer]).await;
    check(
        Flaw::NoAud,
        &[Audience, MissingClaim, MalformedClaim, DuplicateMember],
    )
    .await;
    check(Flaw::AudByItsPart, &[Audience]).await;
}

#[tokio::test]
async fn refresh_tokens_as_access_tokens_are_detected() {
    check(Flaw::NoType, &[Weakness::TokenType]).await;
    // One of the two marks of an access token is enough.
    check(Flaw::OnlyHeaderTyp, &[]).await;
    check(Flaw::OnlyClaimType, &[]).await;
    let findings = find_weaknesses(service(Flaw::OnlyHeaderTyp), &kit().require("type")).await;
    assert!(findings.iter().any(|finding| finding.attack == "no `type`"));
}

#[tokio::test]
async fn several_spellings_of_a_token_are_detected() {
    check(Flaw::AnyBase64, &[Weakness::Encoding]).await;
    check(Flaw::AnyLength, &[Weakness::Oversized]).await;
}

#[tokio::test]
async fn tokens_in_the_wrong_place_are_detected() {
    check(Flaw::FirstOfTwoHeaders, &[Weakness::TwoTokens]).await;
    check(Flaw::AnyScheme, &[Weakness::Scheme]).await;
    check(Flaw::ReadsQuery, &[Weakness::TokenInQuery]).await;
    check(Flaw::ReadsForm, &[Weakness::TokenInBody]).await;
    check(Flaw::ReadsCookie, &[Weakness::TokenInCookie]).await;
    check(Flaw::ReadsOtherHeader, &[Weakness::TokenInHeader]).await;
    check(Flaw::TrustsUserHeader, &[Weakness::IdentityHeader]).await;
}

#[tokio::test]
async fn ways_around_the_layer_are_detected() {
    check(Flaw::OpenToHead, &[Weakness::Bypass]).await;
    check(Flaw::OpenWithSlash, &[Weakness::Bypass]).await;
}

#[tokio::test]
async fn wrong_responses_are_detected() {
    check(Flaw::FailsOnGarbage, &[Weakness::ServerError]).await;
    check(Flaw::NoChallenge, &[Weakness::MissingChallenge]).await;
    check(Flaw::HidesAs404, &[Weakness::UnexpectedStatus]).await;
    let findings = find_weaknesses(service(Flaw::Redirects), &kit()).await;
    assert_eq!(findings[0].weakness, Weakness::OpenRoute);
}

#[tokio::test]
async fn a_forgotten_route_is_detected_by_name() {
    let kit = kit().route(Method::GET, "/late");
    let findings = find_weaknesses(service(Flaw::ForgottenRoute), &kit).await;
    assert!(findings.iter().all(|finding| finding.route == "GET /late"));
    assert_eq!(findings[0].weakness, Weakness::OpenRoute);
    assert_eq!(findings[0].attack, "no credentials");
}
