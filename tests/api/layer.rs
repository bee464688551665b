//! The layer: which requests pass, and the responses to those that do not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::layer::{EmptyBody, JwtAuth, ProblemJson};
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer, TokenIssuer, VerifiedToken};

use crate::support::{NOW, bearer, builder, request, send, tokens, verifier};

/// A store that needs I/O, and returns what the test has set.
#[derive(Debug, Clone)]
struct Slow(Answer);

#[derive(Debug, Clone, Copy)]
enum Answer {
    Good,
    Revoked,
    Down,
}

impl RevocationStore for Slow {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        match self.0 {
            Answer::Good => Ok(false),
            Answer::Revoked => Ok(true),
            Answer::Down => Err(StoreError::new("no route to host")),
        }
    }
}

fn slow(answer: Answer) -> TokenIssuer {
    builder().0.revocation(Slow(answer)).build().unwrap()
}

#[tokio::test]
async fn a_good_token_passes_and_names_its_subject() {
    let token = tokens().access("alice").issue().unwrap();
    let seen = send(&JwtAuthLayer::new(verifier()), bearer(&token)).await;
    assert_eq!(
        (seen.verdict().as_str(), seen.body.as_str()),
        ("200", "alice")
    );
}

#[tokio::test]
async fn refusals_have_the_documented_status_challenge_and_no_body() {
    let layer = JwtAuthLayer::new(verifier());
    let refresh = tokens().refresh("alice").issue().unwrap();
    let other = builder().0.audience("x").issuer("y").build().unwrap();
    let foreign = other.access("alice").issue().unwrap();
    for (request, expected) in [
        (request(&[]), r#"401 Bearer realm="api""#),
        (
            request(&[("authorization", "Bearer")]),
            r#"400 Bearer realm="api", error="invalid_request""#,
        ),
        (
            bearer("garbage"),
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            bearer("a.b.c"),
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            bearer(&refresh),
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            bearer(&foreign),
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
        (
            bearer(&"x".repeat(100_000)),
            r#"401 Bearer realm="api", error="invalid_token""#,
        ),
    ] {
        let seen = send(&layer, request).await;
        assert_eq!(seen.verdict(), expected);
        assert_eq!(seen.body, "", "OWASP ASVS 5.0 V16.5.1");
    }
}

#[tokio::test]
async fn a_store_that_must_be_waited_for_decides_too() {
    let token = slow(Answer::Good).access("alice").issue().unwrap();
    for (answer, verdict, body) in [
        (Answer::Good, "200", "alice"),
        (
            Answer::Revoked,
            r#"401 Bearer realm="api", error="invalid_token""#,
            "",
        ),
        (Answer::Down, "503", ""), // OWASP ASVS 5.0 V16.5.2: an outage is never a 401 and never a pass
    ] {
        let seen = send(&JwtAuthLayer::new(slow(answer).verifier()), bearer(&token)).await;
        assert_eq!(
            (seen.verdict().as_str(), seen.body.as_str()),
            (verdict, body)
        );
        let retry = seen.headers.get("retry-after").map(HeaderValue::as_bytes);
        assert_eq!(
            retry,
            matches!(answer, Answer::Down).then_some(b"1".as_slice())
        );
    }
    let optional = JwtAuthLayer::new(slow(Answer::Down).verifier()).optional();
    assert_eq!(send(&optional, bearer(&token)).await.verdict(), "503");
}

#[tokio::test]
async fn optional_lets_missing_tokens_pass_and_refuses_bad_ones() {
    let layer = JwtAuthLayer::new(verifier()).optional();
    let token = tokens().access("alice").issue().unwrap();
    assert_eq!(send(&layer, request(&[])).await.body, "nobody");
    assert_eq!(send(&layer, bearer(&token)).await.body, "alice");
    assert_eq!(
        send(&layer, request(&[("authorization", "Basic x")]))
            .await
            .body,
        "nobody"
    );
    assert_eq!(send(&layer, bearer("bad")).await.status, 401);
    assert_eq!(
        send(&layer, request(&[("authorization", "Bearer")]))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn realm_and_metadata_are_in_every_challenge() {
    let layer = JwtAuthLayer::new(verifier())
        .realm("the \"api\"\r\n")
        .resource_metadata("https://api.example/.well-known/oauth-protected-resource");
    let metadata =
        r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;
    let realm = r#"realm="the \"api\"??""#;
    for (request, expected) in [
        (request(&[]), format!("401 Bearer {realm}, {metadata}")),
        (
            bearer("x"),
            format!(r#"401 Bearer {realm}, error="invalid_token", {metadata}"#),
        ),
    ] {
        assert_eq!(send(&layer, request).await.verdict(), expected);
    }
}

#[tokio::test]
async fn responses_can_be_problem_documents_or_anything_else() {
    let layer = JwtAuthLayer::new(verifier()).on_error(ProblemJson);
    let seen = send(&layer, bearer("x")).await;
    assert_eq!(
        seen.verdict(),
        r#"401 Bearer realm="api", error="invalid_token""#
    );
    assert_eq!(seen.headers["content-type"], "application/problem+json");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&seen.body).unwrap(),
        serde_json::json!({
            "type": "about:blank", "title": "Unauthorized", "status": 401,
            "detail": "The bearer token is not valid.", "error": "invalid_token",
        })
    );

    let layer = JwtAuthLayer::new(verifier()).on_error(|error: &AuthError| {
        let mut response = Response::new(error.kind().as_str().to_owned());
        *response.status_mut() = error.status();
        response
            .headers_mut()
            .append("www-authenticate", HeaderValue::from_static("Basic"));
        response
    });
    let seen = send(&layer, request(&[])).await;
    assert_eq!(
        (seen.verdict().as_str(), seen.body.as_str()),
        (r#"401 Basic Bearer realm="api""#, "missing_token")
    );

    let layer = JwtAuthLayer::new(verifier()).on_error(|_: &AuthError| {
        let mut response = Response::new(String::new());
        let challenge = HeaderValue::from_static("bearer realm=\"mine\"");
        response.headers_mut().append("www-authenticate", challenge);
        response
    });
    assert_eq!(
        send(&layer, request(&[])).await.challenges,
        ["bearer realm=\"mine\""]
    );
}

#[tokio::test]
async fn challenges_of_inner_services_are_kept() {
    let inner = service_fn(async |_: Request<String>| {
        let mut response = Response::new(String::new());
        response
            .headers_mut()
            .append("www-authenticate", HeaderValue::from_static("Basic"));
        Ok::<_, Infallible>(response)
    });
    let token = tokens().access("alice").issue().unwrap();
    let service = JwtAuthLayer::new(verifier()).layer(inner);
    let response = service.oneshot(bearer(&token)).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Basic");
}

#[tokio::test]
async fn the_error_is_in_the_extensions_of_the_response() {
    let service = JwtAuthLayer::new(verifier()).layer(crate::support::probe());
    let response = service.oneshot(bearer("x")).await.unwrap();
    let error = response.extensions().get::<AuthError>().unwrap();
    assert_eq!(error.kind(), AuthErrorKind::MalformedToken);
}

#[tokio::test]
async fn preflight_passes_only_where_asked_for() {
    let preflight = || {
        let mut request = request(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "GET"),
        ]);
        *request.method_mut() = Method::OPTIONS;
        request
    };
    let strict = JwtAuthLayer::new(verifier());
    assert_eq!(send(&strict, preflight()).await.status, 401);
    let open = strict.allow_preflight();
    assert_eq!(send(&open, preflight()).await.body, "nobody");
    let mut get = preflight();
    *get.method_mut() = Method::GET;
    assert_eq!(send(&open, get).await.status, 401);
    let mut bare = preflight();
    bare.headers_mut().remove("access-control-request-method");
    assert_eq!(send(&open, bare).await.status, 401);
    let mut head = request(&[]);
    *head.method_mut() = Method::HEAD;
    assert_eq!(send(&open, head).await.status, 401);
}

/// Panics if it is called without having been polled ready, as a service may do.
#[derive(Debug)]
struct Strict {
    ready: bool,
    clones: Arc<AtomicUsize>,
    called_original: Arc<AtomicBool>,
    original: bool,
}

impl Strict {
    fn new() -> Self {
        Self {
            ready: false,
            clones: Arc::default(),
            called_original: Arc::default(),
            original: true,
        }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            ready: false, // readiness is never cloned
            clones: Arc::clone(&self.clones),
            called_original: Arc::clone(&self.called_original),
            original: false,
        }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        self.called_original
            .fetch_or(self.original, Ordering::SeqCst);
        let token = request.extensions().get::<VerifiedToken>().unwrap();
        std::future::ready(Ok(Response::new(token.subject().unwrap().to_owned())))
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let token = tokens().access("alice").issue().unwrap();
    // If the store's answer is in memory, nothing waits, so nothing is cloned.
    let memory = MemoryRevocations::with_clock(ManualClock::at_unix_seconds(NOW));
    let in_memory = builder().0.revocation(memory).build().unwrap();
    for (verifier, clones) in [
        (verifier(), 0),
        (in_memory.verifier(), 0),
        (slow(Answer::Good).verifier(), 1),
    ] {
        let strict = Strict::new();
        let (seen, original) = (
            Arc::clone(&strict.clones),
            Arc::clone(&strict.called_original),
        );
        let mut service = JwtAuthLayer::new(verifier).layer(strict);
        for round in 1..=3 {
            let response = service
                .ready()
                .await
                .unwrap()
                .call(bearer(&token))
                .await
                .unwrap();
            assert_eq!(response.body(), "alice");
            assert!(original.load(Ordering::SeqCst));
            assert_eq!(
                seen.load(Ordering::SeqCst),
                clones * round,
                "no clone without waiting"
            );
        }
    }
}

#[tokio::test]
async fn it_works_in_front_of_a_buffer_and_a_concurrency_limit() {
    let token = tokens().access("alice").issue().unwrap();
    for verifier in [verifier(), slow(Answer::Good).verifier()] {
        let service = ServiceBuilder::new()
            .layer(JwtAuthLayer::new(verifier))
            .buffer(4)
            .concurrency_limit(2)
            .service(Strict::new());
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (service, request) = (service.clone(), bearer(&token));
            calls.spawn(async move { service.oneshot(request).await.unwrap().into_body() });
        }
        while let Some(body) = calls.join_next().await {
            assert_eq!(body.unwrap(), "alice");
        }
    }
}

#[tokio::test]
async fn refusals_use_no_slot_of_a_concurrency_limit() {
    let layer = JwtAuthLayer::new(verifier());
    let service = ServiceBuilder::new()
        .layer(layer)
        .concurrency_limit(1)
        .service(Strict::new());
    let token = tokens().access("alice").issue().unwrap();
    for _ in 0..5 {
        assert_eq!(
            service
                .clone()
                .oneshot(request(&[]))
                .await
                .unwrap()
                .status(),
            401
        );
    }
    assert_eq!(
        service.oneshot(bearer(&token)).await.unwrap().body(),
        "alice"
    );
}

#[tokio::test]
async fn readiness_and_errors_of_the_inner_service_come_through() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<String>, Response<String>>();
    let mut service = JwtAuthLayer::new(verifier()).layer(mock);
    handle.allow(0);
    let waker = futures_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(service.poll_ready(&mut cx).is_pending());
    handle.allow(1);
    let token = tokens().access("alice").issue().unwrap();
    let call = service.ready().await.unwrap().call(bearer(&token));
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_error("inner failed");
    assert_eq!(call.await.unwrap_err().to_string(), "inner failed");
}

fn futures_waker() -> std::task::Waker {
    std::task::Waker::noop().clone()
}

#[tokio::test]
async fn bodies_of_any_type_pass_untouched() {
    struct NeitherCloneNorDefault(u8);
    #[derive(Default)]
    struct Answer(Option<u8>);
    let echo = service_fn(async |request: Request<NeitherCloneNorDefault>| {
        Ok::<_, Infallible>(Response::new(Answer(Some(request.into_body().0))))
    });
    let token = tokens().access("alice").issue().unwrap();
    let service = JwtAuthLayer::new(verifier()).layer(echo);
    let request = bearer(&token).map(|_| NeitherCloneNorDefault(7));
    assert_eq!(
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .0,
        Some(7)
    );
    let request = Request::new(NeitherCloneNorDefault(7));
    assert_eq!(service.oneshot(request).await.unwrap().into_body().0, None);
}

#[tokio::test]
async fn the_token_is_in_no_debug_output() {
    let token = tokens()
        .access("alice")
        .claim("note", "private")
        .issue()
        .unwrap();
    let verified = verifier().verify_local(&token).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let mut service = JwtAuthLayer::new(verifier()).layer(crate::support::probe());
    let future = service.call(bearer(&token));
    let texts = format!("{verified:?} {service:?} {future:?} {:?}", verifier());
    assert!(
        !texts.contains(signature) && !texts.contains("private"),
        "{texts}"
    );
    let error = verifier().verify_local(&format!("{token}x")).unwrap_err();
    let text = format!("{error:?} {error}");
    assert!(
        !text.contains(signature) && !text.contains("private"),
        "{text}"
    );
}

#[tokio::test]
async fn an_inner_layer_ignores_the_token_of_an_outer_one() {
    let other = builder().0.issuer("other").build().unwrap();
    let source = tower_jwt_auth::layer::TokenSource::cookie("c", ["https://a.example"]).unwrap();
    let outer = JwtAuthLayer::new(verifier()).token_source(source);
    let inner = JwtAuthLayer::new(other.verifier()).optional();
    let service = outer.layer(inner.layer(crate::support::probe()));
    let token = tokens().access("alice").issue().unwrap();
    let request = request(&[("cookie", &format!("c={token}"))]);
    assert_eq!(service.oneshot(request).await.unwrap().body(), "nobody");
}

#[test]
fn a_retry_after_of_any_length_is_sent() {
    use tower_jwt_auth::layer::response_for;
    for (after, told) in [(Duration::MAX, u64::MAX), (Duration::from_millis(1200), 2)] {
        let error = AuthError::new(AuthErrorKind::Unavailable).with_retry_after(after);
        let response: Response<String> = response_for(&EmptyBody, error);
        assert_eq!(response.headers()["retry-after"], told.to_string());
    }
}

/// The types can be named, sent between threads and stored.
#[test]
fn the_future_is_named_and_sendable() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Send + Sync + Clone>() {}
    type Inner = crate::support::Probe;
    is_sync::<JwtAuth<Inner, EmptyBody>>();
    is_sync::<JwtAuthLayer<ProblemJson>>();
    is_send::<tower_jwt_auth::layer::ResponseFuture<Inner, String, EmptyBody>>();
    is_sync::<VerifiedToken>();
    is_sync::<AuthError>();
}
