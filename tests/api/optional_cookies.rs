//! Bad cookies on routes where a token is optional.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::layer::{IgnoredCookie, TokenSource};
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{JwtAuthLayer, TokenVerifier, VerifiedToken};

use crate::support::{Seen, builder, request, tokens, verifier};

const ORIGIN: &str = "https://app.example";

/// Responds with the user, and with the cookie that was ignored, if any.
async fn answer(layer: &JwtAuthLayer, request: Request<String>) -> String {
    let service = service_fn(async |request: Request<String>| {
        let extensions = request.extensions();
        let subject = extensions
            .get::<VerifiedToken>()
            .map_or("nobody", |token| token.subject().unwrap_or_default());
        let ignored = extensions
            .get::<IgnoredCookie>()
            .map_or_else(String::new, |cookie| {
                format!(
                    " without {}: {}",
                    cookie.name(),
                    cookie.error().kind().as_str()
                )
            });
        Ok::<_, Infallible>(Response::new(format!("{subject}{ignored}")))
    });
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let seen = Seen::of(response);
    if seen.status == 200 {
        seen.body
    } else {
        seen.verdict()
    }
}

fn source() -> TokenSource {
    TokenSource::cookie("t", [ORIGIN]).unwrap()
}

fn lenient(verifier: TokenVerifier) -> JwtAuthLayer {
    JwtAuthLayer::new(verifier)
        .token_source(source())
        .optional_ignoring_bad_cookies()
}

/// A store that needs I/O.
#[derive(Debug, Clone, Copy)]
enum Slow {
    Good,
    Revoked,
    Down,
}

impl RevocationStore for Slow {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        match self {
            Self::Good => Ok(false),
            Self::Revoked => Ok(true),
            Self::Down => Err(StoreError::new("no route to host")),
        }
    }
}

#[tokio::test]
async fn a_bad_cookie_is_ignored_and_the_handler_knows_why() {
    let (builder, clock) = builder();
    let issuer = builder.build().unwrap();
    let expired = issuer.access("alice").issue().unwrap();
    clock.advance(Duration::from_secs(100_000));
    let (good, other) = (
        issuer.access("alice").issue().unwrap(),
        issuer.access("alice").issue().unwrap(),
    );
    let refresh = issuer.refresh("alice").issue().unwrap();
    for (cookie, expected) in [
        (format!("t={good}"), "alice"),
        ("a=b".into(), "nobody"),
        (format!("t={expired}"), "nobody without t: expired"),
        ("t=garbage".into(), "nobody without t: malformed_token"),
        (format!("t={refresh}"), "nobody without t: wrong_type"),
        (format!("t={good}; t={good}"), "alice"),
        (
            format!("t={good}; t={other}"),
            "nobody without t: malformed_request",
        ),
        (
            format!("t={expired}; t={good}"),
            "nobody without t: malformed_request",
        ),
    ] {
        let request = request(&[("cookie", &cookie)]);
        let answer = answer(&lenient(issuer.verifier()), request).await;
        assert_eq!(answer, expected, "{cookie}");
    }
    // Without this, an expired cookie would block every page behind `optional`.
    let strict = JwtAuthLayer::new(issuer.verifier())
        .token_source(source())
        .optional();
    let request = request(&[("cookie", &format!("t={expired}"))]);
    assert_eq!(
        answer(&strict, request).await,
        r#"401 Bearer realm="api", error="invalid_token""#
    );
}

#[tokio::test]
async fn only_bad_cookies_are_ignored() {
    let layer = lenient(verifier())
        .token_source(TokenSource::header("x-token").unwrap())
        .token_source(TokenSource::cookie("u", [ORIGIN]).unwrap());
    let alice = tokens().access("alice").issue().unwrap();
    let bob = tokens().access("bob").issue().unwrap();
    let bearer = format!("Bearer {alice}");
    let (alice_s, bob_s) = (format!("t={alice}"), format!("t={bob}"));
    let two_names = format!("t={alice}; u={bob}");
    for (headers, expected) in [
        (
            &[("authorization", "Bearer bad")] as &[_],
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            &[("authorization", "Bearer")],
            r#"400 Bearer realm="api", error="invalid_request""#,
        ),
        (
            &[("authorization", "Bearer bad"), ("cookie", &alice_s)],
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            &[("x-token", "bad"), ("cookie", &alice_s)],
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            &[("authorization", &bearer), ("x-token", &bob)],
            r#"400 Bearer realm="api", error="invalid_request""#,
        ),
        (&[("authorization", &bearer), ("cookie", &bob_s)], "alice"),
        (&[("authorization", &bearer), ("cookie", "t=bad")], "alice"),
        (
            &[("authorization", &bearer), ("cookie", "t=a; t=b")],
            "alice",
        ),
        (
            &[("authorization", "Basic eDp5"), ("cookie", &bob_s)],
            "bob",
        ),
        (&[("x-token", &bob), ("cookie", &alice_s)], "bob"),
        (
            &[("cookie", &two_names)],
            "nobody without u: malformed_request",
        ),
    ] {
        let answer = answer(&layer, request(headers)).await;
        assert_eq!(answer, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_bad_cookie_that_needs_io_is_ignored_as_well() {
    let issue = |store| builder().0.revocation(store).build().unwrap();
    let token = issue(Slow::Good).access("alice").issue().unwrap();
    let cookie = format!("t={token}");
    for (store, expected) in [
        (Slow::Good, "alice"),
        (Slow::Revoked, "nobody without t: revoked"),
        (Slow::Down, "503"), // an outage must not look like a logout
    ] {
        let layer = lenient(issue(store).verifier());
        let answer = answer(&layer, request(&[("cookie", &cookie)])).await;
        assert_eq!(answer, expected, "{store:?}");
    }
    let layer = lenient(issue(Slow::Revoked).verifier());
    let header = request(&[("authorization", &format!("Bearer {token}"))]);
    assert_eq!(
        answer(&layer, header).await,
        r#"401 Bearer realm="api", error="invalid_token""#
    );
}

#[tokio::test]
async fn a_cookie_from_a_foreign_page_is_ignored_but_kept() {
    let token = tokens().access("alice").issue().unwrap();
    let layer = lenient(verifier());
    let post = |cookie: &str, origin: &'static str| {
        let mut request = request(&[("cookie", cookie)]);
        *request.method_mut() = http::Method::POST;
        let origin = HeaderValue::from_static(origin);
        request.headers_mut().insert("origin", origin);
        request
    };
    for (cookie, origin, expected) in [
        (format!("t={token}"), ORIGIN, "alice"),
        (format!("t={token}"), "https://evil.example", "nobody"),
        ("t=bad".into(), "https://evil.example", "nobody"),
        ("t=a; t=b".into(), "https://evil.example", "nobody"),
        ("t=bad".into(), ORIGIN, "nobody without t: malformed_token"),
    ] {
        let answer = answer(&layer, post(&cookie, origin)).await;
        assert_eq!(answer, expected, "{cookie} {origin}");
    }
}

#[tokio::test]
async fn in_every_mode_two_cookies_of_equal_value_are_one() {
    let token = tokens().access("alice").issue().unwrap();
    let twice = format!("t={token}; a=b; t={token}");
    let layer = || JwtAuthLayer::new(verifier()).token_source(source());
    for layer in [
        layer(),
        layer().optional(),
        layer().optional_ignoring_bad_cookies(),
    ] {
        assert_eq!(
            answer(&layer, request(&[("cookie", &twice)])).await,
            "alice"
        );
        let lines = [("cookie", twice.as_str()), ("cookie", twice.as_str())];
        assert_eq!(answer(&layer, request(&lines)).await, "alice");
    }
    let different = request(&[("cookie", &format!("t={token}; t=x"))]);
    assert_eq!(
        answer(&layer().optional(), different).await,
        r#"400 Bearer realm="api", error="invalid_request""#
    );
}

#[tokio::test]
async fn an_inner_layer_forgets_an_ignored_cookie() {
    let bad = || request(&[("cookie", "t=bad")]);
    let other = TokenSource::cookie("u", [ORIGIN]).unwrap();
    let inner = JwtAuthLayer::new(verifier())
        .token_source(other)
        .optional_ignoring_bad_cookies();
    let kept = Arc::new(Mutex::new(None));
    let service = {
        let kept = Arc::clone(&kept);
        service_fn(move |request: Request<String>| {
            *kept.lock().unwrap() = request.extensions().get::<IgnoredCookie>().cloned();
            async { Ok::<_, Infallible>(Response::new(String::new())) }
        })
    };
    let outer = lenient(verifier());
    outer.layer(service.clone()).oneshot(bad()).await.unwrap();
    assert!(kept.lock().unwrap().is_some());
    let both = outer.layer(inner.layer(service));
    both.oneshot(bad()).await.unwrap();
    assert!(kept.lock().unwrap().is_none());
}
