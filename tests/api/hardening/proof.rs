//! If the kit cannot prove anything, it says so, and its message contains no secret.

use http::Method;
use tower_jwt_auth::testing::{Hardening, TestIssuer, Weakness, assert_hardened, find_weaknesses};

use super::hand_made::{Flaw, kit, service};
use crate::support::{claims, signed};

#[tokio::test]
async fn a_good_token_that_is_refused_proves_nothing() {
    let issuer = TestIssuer::new().unwrap();
    let token = issuer.tokens().access("alice").issue().unwrap();
    let kit = Hardening::new(&issuer, token)
        .unwrap()
        .body(|text| text)
        .route(Method::GET, "/orders");
    let findings = find_weaknesses(service(Flaw::None), &kit).await;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].weakness, Weakness::NothingProven);
    assert_eq!(findings[0].status.unwrap(), 401);
}

#[tokio::test]
async fn a_kit_without_routes_proves_nothing() {
    let issuer = TestIssuer::new().unwrap();
    let token = issuer.tokens().access("alice").issue().unwrap();
    let kit = Hardening::new(&issuer, token).unwrap().body(|text| text);
    let findings = find_weaknesses(service(Flaw::None), &kit).await;
    assert_eq!(findings[0].weakness, Weakness::NothingProven);
}

#[tokio::test]
async fn a_rate_limit_in_the_way_proves_nothing() {
    let findings = find_weaknesses(service(Flaw::LimitsRate), &kit()).await;
    let last = findings.last().unwrap();
    assert_eq!(last.weakness, Weakness::NothingProven);
    assert_eq!(last.attack, "a good token after the attacks");
    assert!(
        findings
            .iter()
            .any(|finding| finding.weakness == Weakness::UnexpectedStatus)
    );
}

#[tokio::test]
async fn what_is_accepted_is_not_reported() {
    let kit = kit().accept(Weakness::TokenInQuery);
    assert_hardened(service(Flaw::ReadsQuery), &kit).await;
}

#[tokio::test]
async fn a_claim_that_is_required_must_be_there() {
    let findings = find_weaknesses(service(Flaw::NoIat), &kit().require("iat")).await;
    assert!(findings.iter().any(|finding| finding.attack == "no `iat`"));
    assert_hardened(service(Flaw::None), &kit().require("iat").require("sub")).await;
}

#[test]
fn a_text_that_is_not_a_token_is_refused() {
    let issuer = TestIssuer::new().unwrap();
    for text in ["", "x", "a.b.c", "e30.e30", "e30.e30.x.y"] {
        let error = Hardening::new(&issuer, text).unwrap_err();
        assert!(error.to_string().contains("not a signed JWT"), "{error}");
    }
}

#[tokio::test]
async fn the_panic_says_what_to_do_and_shows_no_secret() {
    let run = tokio::spawn(async { assert_hardened(service(Flaw::NeverVerifies), &kit()).await });
    let panic = run.await.unwrap_err().into_panic();
    let text = panic.downcast::<String>().unwrap();
    for part in [
        "GET /orders: anyone can change a token or write their own",
        "remedy: verify the signature before you read the claims",
        "- a token signed with another key: answered 200 OK",
        "more attacks",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let token = signed(r#"{"alg":"HS256","typ":"at+jwt","kid":"k1"}"#, claims(""));
    for part in token.split('.') {
        assert!(!text.contains(part), "{text}");
    }
    assert!(!text.contains("attacker-secret"), "{text}");
    assert!(!format!("{:?}", kit()).contains("ey"));
}

#[tokio::test]
async fn a_service_that_fails_instead_of_responding_is_detected() {
    let service = tower::service_fn(|request: http::Request<String>| {
        let is_text = |value: &http::HeaderValue| value.to_str().is_ok();
        let fails = !request.headers().values().all(is_text);
        let mut good = service(Flaw::None);
        async move {
            if fails {
                return Err("the header is not text");
            }
            Ok(tower::Service::call(&mut good, request).await.unwrap())
        }
    });
    let findings = find_weaknesses(service, &kit()).await;
    assert!(!findings.is_empty());
    for finding in findings {
        assert_eq!(
            (finding.weakness, finding.status),
            (Weakness::ServerError, None)
        );
        assert!(
            finding.to_string().contains("an error of the service"),
            "{finding}"
        );
    }
}
