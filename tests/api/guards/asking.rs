//! Async predicates: when they are asked, and what happens if they fail.

use std::future::{Future as _, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer as _, Service as _, ServiceBuilder, ServiceExt as _};
use tower_jwt_auth::{AuthError, AuthErrorKind, Require, VerifiedToken};

use super::ways::{answer, answer_to, auth, token, verifier};
use crate::support::{bearer, probe};

/// Counts how often it is called.
fn counted(answer: bool) -> (Require, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let require = Require::that_async(Arc::clone(&asked), move |asked: Arc<AtomicUsize>, _| {
        asked.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, String>(answer) }
    });
    (require, asked)
}

fn outage() -> Require {
    Require::that_async((), async |(), _| Err("the database is down"))
}

#[tokio::test]
async fn an_outage_is_503_and_never_a_pass() {
    assert_eq!(answer_to(&outage(), "").await, "503, after 1");
    let slow = Require::that_async((), async |(), _| {
        let error = AuthError::new(AuthErrorKind::Unavailable);
        Err::<bool, _>(error.with_retry_after(Duration::from_secs(7)))
    });
    assert_eq!(answer_to(&slow, "").await, "503, after 7");

    let (yes, no) = (|| Require::that(|_| true), || Require::that(|_| false));
    let forbidden = r#"403 Bearer realm="shop""#;
    for (require, expected) in [
        (yes().and(outage()), "503, after 1"),
        (outage().and(yes()), "503, after 1"),
        (outage().or(no()), "503, after 1"),
        (no().or(outage()), "503, after 1"),
        // The known part decides: no answer of the database would change it.
        (no().and(outage()), forbidden),
        (outage().and(no()), forbidden),
        (outage().or(yes()), "200"),
        (outage().or(counted(true).0), "200"),
    ] {
        assert_eq!(answer_to(&require, "").await, expected, "{require}");
    }
}

#[tokio::test]
async fn an_error_of_the_predicate_is_in_the_source() {
    let token = verifier().verify(&token("")).await.unwrap();
    let error = token.require_async(&outage()).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the database is down");
}

#[tokio::test]
async fn a_predicate_can_answer_with_an_error_of_its_own() {
    let own = Require::that_async((), async |(), _| {
        Err::<bool, _>(AuthError::insufficient_scope("orders:refund"))
    });
    let refused = r#"403 Bearer realm="shop", error="insufficient_scope", scope="orders:refund""#;
    assert_eq!(answer_to(&own, "").await, refused);
}

#[tokio::test]
async fn a_predicate_that_panics_lets_nobody_pass() {
    let now = Require::that(|_| panic!("a fault of the application"));
    let at_call = Require::that_async((), |(), _| {
        if true {
            panic!("a fault of the application");
        }
        async { Ok::<_, String>(true) }
    });
    let at_poll = Require::that_async((), async |(), _| {
        tokio::task::yield_now().await;
        if true {
            panic!("a fault of the application");
        }
        Ok::<_, String>(true)
    });
    for require in [now, at_call, at_poll] {
        assert_eq!(answer_to(&require, "").await, "500");
        let both = Require::that(|_| true).and(require.clone());
        assert_eq!(answer_to(&both, "").await, "500");
        let neither = Require::that(|_| false).or(require.clone());
        assert_eq!(answer_to(&neither, "").await, "500");
        let other = require.or(Require::that(|_| true));
        assert_eq!(answer_to(&other, "").await, "200");
    }
}

#[tokio::test]
async fn checks_that_cannot_change_the_verdict_are_skipped() {
    let no = || Require::scope("missing");
    let (yes, asked) = counted(true);
    for require in [
        no().and(yes.clone()),
        yes.clone().and(no()),
        Require::that(|_| true).or(yes.clone()),
        yes.clone().or(Require::that(|_| true)),
        outage().and(yes.clone()),
        no().and(yes.clone().or(yes.clone())),
        Require::scope("").or(yes.clone()),
    ] {
        answer_to(&require, "").await;
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{require}");
    }
    answer(&yes, None).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "without a token");
}

#[tokio::test]
async fn a_check_that_occurs_twice_is_asked_once() {
    let token = verifier().verify(&token("")).await.unwrap();
    let (no, asked) = counted(false);
    let (other, other_asked) = counted(false);
    let twice = no.clone().or(other.and(no.clone())).or(no);
    let error = token.require_async(&twice).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Forbidden);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(other_asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn checks_are_asked_in_the_order_in_which_they_are_written() {
    let token = verifier().verify(&token("")).await.unwrap();
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let check = |name: &'static str, answer: bool| {
        Require::that_async(Arc::clone(&log), move |log: Arc<std::sync::Mutex<_>>, _| {
            log.lock().unwrap().push(name);
            async move { Ok::<_, String>(answer) }
        })
    };
    let require = (check("a", false).or(check("b", true))).and(check("c", true));
    token.require_async(&require).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_request_that_is_dropped_never_reaches_the_handler() {
    let require = Require::that_async((), |(), _| pending::<Result<bool, String>>());
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let handler = tower::service_fn(move |_: http::Request<String>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) }
    });
    let layers = ServiceBuilder::new().layer(auth()).layer(require);
    let service = layers.service(handler);
    {
        let mut future = pin!(service.oneshot(bearer(&token(""))));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    // A concurrency limit acquires its permit in `poll_ready`, and panics if another service is called.
    let inner = ConcurrencyLimitLayer::new(1).layer(probe());
    let (yes, _) = counted(true);
    for require in [Require::that(|_| true), yes, Require::that(|_| false)] {
        let layers = ServiceBuilder::new().layer(auth()).layer(require);
        let mut service = layers.service(inner.clone());
        for _ in 0..3 {
            service.ready().await.unwrap();
            service.call(bearer(&token(""))).await.unwrap();
        }
    }
    // It is not ready before the service behind it is.
    let mut holder = inner.clone();
    holder.ready().await.unwrap();
    let mut guard = Require::that(|_| true).layer(inner);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(guard.poll_ready(&mut context), Poll::Pending));
    drop(holder);
    guard.ready().await.unwrap();
}

#[tokio::test]
async fn the_futures_can_be_sent_to_other_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let token = verifier().verify(&token("")).await.unwrap();
    let (yes, _) = counted(true);
    is_send(token.require_async(&yes)).await.unwrap();
    let service = ServiceBuilder::new()
        .layer(auth())
        .layer(yes)
        .service(probe());
    is_send(service.oneshot(bearer(&super::ways::token(""))))
        .await
        .unwrap();

    fn is_shared<T: Send + Sync + Clone + 'static>() {}
    is_shared::<Require>();
    is_shared::<VerifiedToken>();
}
