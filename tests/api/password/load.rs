//! Limits, threads and response times.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tower_jwt_auth::password::{Argon2Params, PasswordError, PasswordHash, PasswordServiceBuilder};

use super::{fast, weak};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Slow enough to observe, on one worker.
fn slow() -> PasswordServiceBuilder {
    weak().argon2(Argon2Params::new(65_536, 10, 1)).workers(1)
}

#[tokio::test]
async fn overload_is_refused_at_once_with_a_time_to_retry() {
    let passwords = slow().queue_limit(1).build().unwrap();
    let (mut running, mut waiting) = (Box::pin(passwords.hash("a")), Box::pin(passwords.hash("b")));
    assert!(poll_once(running.as_mut()).is_pending());
    assert!(poll_once(waiting.as_mut()).is_pending());
    let Poll::Ready(refused) = poll_once(Box::pin(passwords.hash("c")).as_mut()) else {
        panic!("a third found a place");
    };
    let retry_after = Duration::from_secs(2);
    assert_eq!(
        refused.unwrap_err(),
        PasswordError::Overloaded { retry_after }
    );
    assert!(running.await.is_ok());
}

#[tokio::test]
async fn requests_that_wait_too_long_are_refused() {
    let passwords = slow().max_wait(Duration::from_millis(100)).build().unwrap();
    let retry_after = Duration::from_secs(1);
    let turned_away = PasswordError::Overloaded { retry_after };
    // On a busy machine the worker may be late for the first one, too: then try again.
    for _ in 0..50 {
        let (first, second) = tokio::join!(passwords.hash("a"), passwords.hash("b"));
        for hash in [&first, &second] {
            assert!(
                hash.as_ref()
                    .err()
                    .is_none_or(|error| *error == turned_away)
            );
        }
        // A request that comes when no other waits is served.
        if first.is_ok() && second.is_err() && passwords.hash("c").await.is_ok() {
            return;
        }
    }
    panic!("nobody was turned away");
}

#[tokio::test]
async fn a_dropped_request_frees_no_worker_while_it_computes() {
    let passwords = slow().queue_limit(0).build().unwrap();
    // On a busy machine, the work may not have started yet or may be done already: then try again.
    for _ in 0..10 {
        let mut running = Box::pin(passwords.hash("a"));
        assert!(poll_once(running.as_mut()).is_pending());
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(running);
        if let Err(error) = passwords.verify("b", None).await {
            return assert!(matches!(error, PasswordError::Overloaded { .. }), "{error}");
        }
    }
    panic!("a dropped request freed its worker each time");
}

#[tokio::test]
async fn many_concurrent_logins_get_the_right_result() {
    let passwords = weak().queue_limit(1000).build().unwrap();
    let hash = passwords.hash("secret").await.unwrap();
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (passwords, hash) = (passwords.clone(), hash.clone());
        logins.spawn(async move {
            let password = if number % 2 == 0 { "secret" } else { "wrong" };
            let judged = passwords.verify(password, Some(&hash)).await.unwrap();
            assert_eq!(judged.is_match(), number % 2 == 0);
        });
    }
    logins.join_all().await;
}

#[tokio::test]
async fn hashing_leaves_the_async_thread_free() {
    // On the only thread of this runtime, a hash and a timer make progress together.
    let passwords = slow().build().unwrap();
    // On a busy machine, this thread may sleep while the worker computes: then try again.
    for _ in 0..10 {
        let mut hash = Box::pin(passwords.hash("a"));
        let mut ticks = 0;
        let mut clock = tokio::time::interval(Duration::from_millis(1));
        loop {
            tokio::select! {
                made = &mut hash => break assert!(made.is_ok()),
                _ = clock.tick() => ticks += 1,
            }
        }
        if ticks > 5 {
            return;
        }
    }
    panic!("no timer ran while a password was hashed");
}

#[test]
fn the_blocking_methods_need_no_runtime_and_share_the_limits() {
    let passwords = fast();
    let hash = passwords.hash_blocking("secret").unwrap();
    assert!(
        passwords
            .verify_blocking("secret", Some(&hash))
            .unwrap()
            .is_match()
    );
    assert!(
        !passwords
            .verify_blocking("wrong", Some(&hash))
            .unwrap()
            .is_match()
    );
    assert!(
        !passwords
            .verify_blocking("secret", None)
            .unwrap()
            .is_match()
    );

    let passwords = slow().queue_limit(0).build().unwrap();
    let mut running = Box::pin(passwords.hash("a"));
    assert!(poll_once(running.as_mut()).is_pending());
    let refused = passwords.hash_blocking("b");
    assert!(matches!(refused, Err(PasswordError::Overloaded { .. })));
}

#[tokio::test]
async fn the_blocking_methods_do_not_panic_inside_a_runtime() {
    let passwords = weak().max_wait(Duration::MAX).build().unwrap();
    assert!(passwords.hash_blocking("secret").is_ok());
}

#[test]
fn the_async_methods_need_no_tokio_runtime() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let passwords = fast();
    let mut future = Box::pin(passwords.hash("secret"));
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let hash = loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(hash) => break hash,
            Poll::Pending => std::thread::park(),
        }
    };
    assert!(hash.is_ok());
}

#[test]
fn an_unknown_user_takes_the_time_of_a_known_one() {
    let passwords = weak()
        .argon2(Argon2Params::new(4096, 2, 1))
        .build()
        .unwrap();
    let hash = passwords.hash_blocking("secret").unwrap();
    let time = |stored: Option<&PasswordHash>| {
        let start = Instant::now();
        assert!(
            !passwords
                .verify_blocking("wrong", stored)
                .unwrap()
                .is_match()
        );
        start.elapsed()
    };
    time(None);
    let ratio = || {
        // In turns, so that other work on the machine affects both. The fourth best of each counts, because
        // it is disturbed least.
        let (mut known, mut unknown): (Vec<_>, Vec<_>) =
            (0..31).map(|_| (time(Some(&hash)), time(None))).unzip();
        known.sort();
        unknown.sort();
        known[3].as_secs_f64() / unknown[3].as_secs_f64()
    };
    // Work that is left out is left out in every round, while a busy machine is quiet in some rounds.
    let ratios: Vec<f64> = (0..5).map(|_| ratio()).collect();
    assert!(
        ratios.iter().any(|ratio| (0.75..1.33).contains(ratio)),
        "{ratios:?}"
    );
}
