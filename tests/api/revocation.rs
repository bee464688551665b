//! Revoked tokens, sessions and subjects, and the cache in front of a revocation store.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_jwt_auth::AuthErrorKind::{self, *};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{TokenIssuer, TokenVerifier};

use crate::support::{builder, claims, signed};

async fn kind(verifier: &TokenVerifier, token: &str) -> Result<(), AuthErrorKind> {
    verifier
        .verify(token)
        .await
        .map(drop)
        .map_err(|error| error.kind())
}

fn with_memory() -> (TokenIssuer, MemoryRevocations, ManualClock) {
    let (builder, clock) = builder();
    let record = MemoryRevocations::with_clock(clock.clone());
    (
        builder.revocation(record.clone()).build().unwrap(),
        record,
        clock,
    )
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_siblings_are_not() {
    let (tokens, record, _) = with_memory();
    let verifier = tokens.verifier();
    let (one, two) = (
        tokens.access("alice").issue().unwrap(),
        tokens.access("alice").issue().unwrap(),
    );
    let verified = verifier.verify(&one).await.unwrap();
    tokens.revoke(&verified).await.unwrap();
    tokens.revoke(&verified).await.unwrap(); // revoking again changes nothing
    assert_eq!(record.len(), 1);
    assert_eq!(kind(&verifier, &one).await, Err(Revoked)); // OWASP ASVS 5.0 V7.4.1
    assert_eq!(kind(&verifier, &two).await, Ok(()));
    assert!(
        verifier.verify_local(&one).is_ok(),
        "local means signature and claims only"
    );
}

#[tokio::test]
async fn a_session_ends_with_all_its_tokens() {
    let (tokens, _, _) = with_memory();
    let of = |sid: &str| tokens.access("alice").session(sid).issue().unwrap();
    let (one, two, other) = (of("s1"), of("s1"), of("s2"));
    tokens.revoke_session("s1").await.unwrap();
    assert_eq!(kind(&tokens.verifier(), &one).await, Err(Revoked));
    assert_eq!(kind(&tokens.verifier(), &two).await, Err(Revoked));
    assert_eq!(kind(&tokens.verifier(), &other).await, Ok(()));
    assert_eq!(
        kind(&tokens.verifier(), &tokens.access("alice").issue().unwrap()).await,
        Ok(())
    );
}

#[tokio::test]
async fn log_out_everywhere_does_not_race_within_a_second() {
    // The clock stands still, so the tokens before and after have the same microsecond, too.
    let (tokens, _, clock) = with_memory();
    let verifier = tokens.verifier();
    for _ in 0..50 {
        let before: Vec<_> = (0..20)
            .map(|_| tokens.access("alice").issue().unwrap())
            .collect();
        let refresh = tokens.refresh("alice").issue().unwrap();
        let bob = tokens.access("bob").issue().unwrap();
        tokens.revoke_subject("alice").await.unwrap();
        let after: Vec<_> = (0..20)
            .map(|_| tokens.access("alice").issue().unwrap())
            .collect();
        for token in &before {
            assert_eq!(kind(&verifier, token).await, Err(Revoked));
        }
        for token in &after {
            assert_eq!(kind(&verifier, token).await, Ok(()));
        }
        assert_eq!(
            kind(&tokens.refresh_verifier(), &refresh).await,
            Err(Revoked)
        );
        assert_eq!(kind(&verifier, &bob).await, Ok(()));
        clock.advance(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_foreign_token_from_the_second_of_the_cut_off_is_refused() {
    let (tokens, _, clock) = with_memory();
    let foreign = signed(r#"{"alg":"HS256"}"#, claims(""));
    clock.advance(Duration::from_millis(300));
    assert_eq!(kind(&tokens.verifier(), &foreign).await, Ok(()));
    tokens.revoke_subject("alice").await.unwrap();
    assert_eq!(kind(&tokens.verifier(), &foreign).await, Err(Revoked));
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_is_refused() {
    let (tokens, _, _) = with_memory();
    for missing in [r#","jti":"j1""#, r#","sub":"alice""#] {
        let token = signed(r#"{"alg":"HS256"}"#, claims("").replace(missing, ""));
        assert_eq!(
            kind(&tokens.verifier(), &token).await,
            Err(InvalidClaim),
            "{missing}"
        );
    }
    let undated = claims("").replace(&format!(r#","iat":{}"#, crate::support::NOW), "");
    let undated = signed(r#"{"alg":"HS256"}"#, undated);
    assert_eq!(kind(&tokens.verifier(), &undated).await, Err(InvalidClaim));
    let record = MemoryRevocations::new();
    let elsewhere = TokenVerifier::builder()
        .keys(crate::support::key().verifying_key())
        .issuer("me")
        .audience("api")
        .clock(ManualClock::at_unix_seconds(crate::support::NOW))
        .revocation(record.clone())
        .build()
        .unwrap();
    assert_eq!(kind(&elsewhere, &undated).await, Ok(()));
    let until = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    let cutoff = Revocation::subject(Some("me"), "alice", std::time::UNIX_EPOCH, until);
    record.revoke(&[cutoff]).await.unwrap();
    assert_eq!(kind(&elsewhere, &undated).await, Err(Revoked));
}

#[tokio::test]
async fn entries_outlive_every_token_that_they_cover() {
    let (tokens, _, clock) = with_memory();
    let refresh = tokens.refresh("alice").issue().unwrap();
    tokens.revoke_subject("alice").await.unwrap();
    clock.advance(Duration::from_secs(2_592_000 + 29));
    assert_eq!(
        kind(&tokens.refresh_verifier(), &refresh).await,
        Err(Revoked)
    );
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        kind(&tokens.refresh_verifier(), &refresh).await,
        Err(Expired)
    );
}

#[tokio::test]
async fn a_cut_off_covers_tokens_from_before_the_clock_was_set_back() {
    let (tokens, _, clock) = with_memory();
    let token = tokens.access("alice").issue().unwrap();
    clock.set(std::time::UNIX_EPOCH + Duration::from_secs(crate::support::NOW - 5));
    tokens.revoke_subject("alice").await.unwrap();
    assert_eq!(kind(&tokens.verifier(), &token).await, Err(Revoked));
}

#[tokio::test]
async fn without_a_store_revoking_is_an_error_with_advice() {
    let tokens = crate::support::tokens();
    let error = tokens.revoke_subject("alice").await.unwrap_err();
    assert!(error.to_string().contains(".revocation(store)"), "{error}");
}

/// A store that counts calls, and can be slow or down.
#[derive(Debug, Default)]
struct Remote {
    record: MemoryRevocations,
    asked: AtomicUsize,
    delay: Mutex<Duration>,
    down: std::sync::atomic::AtomicBool,
}

impl Remote {
    fn new(clock: &ManualClock) -> Arc<Self> {
        Arc::new(Self {
            record: MemoryRevocations::with_clock(clock.clone()),
            ..Self::default()
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    #[cfg(feature = "cache")]
    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

impl RevocationStore for Remote {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new("down"));
        }
        self.record.revoke(revocations).await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new("down"));
        }
        self.record.is_revoked(query).await
    }
}

#[tokio::test]
async fn forged_and_expired_tokens_never_reach_the_store() {
    let (builder, clock) = builder();
    let remote = Remote::new(&clock);
    let tokens = builder.revocation(Arc::clone(&remote)).build().unwrap();
    let expired = tokens
        .access("alice")
        .ttl(Duration::from_secs(1))
        .issue()
        .unwrap();
    let refresh = tokens.refresh("alice").issue().unwrap();
    clock.advance(Duration::from_secs(60));
    let good = tokens.access("alice").issue().unwrap();
    for bad in ["x", "a.b.c", &good[..good.len() - 2], &expired, &refresh] {
        assert!(kind(&tokens.verifier(), bad).await.is_err());
    }
    assert_eq!(remote.asked(), 0);
    assert_eq!(kind(&tokens.verifier(), &good).await, Ok(()));
    assert_eq!(remote.asked(), 1);
}

#[cfg(feature = "cache")]
mod cached {
    use futures_util::FutureExt as _;
    use tower_jwt_auth::revocation::{CachedRevocations, OutagePolicy};

    use super::*;

    struct Node {
        tokens: TokenIssuer,
        cache: Arc<CachedRevocations<Arc<Remote>>>,
    }

    /// A node with its own cache in front of the shared store.
    fn node(
        remote: &Arc<Remote>,
        clock: &ManualClock,
        set: impl FnOnce(CachedRevocations<Arc<Remote>>) -> CachedRevocations<Arc<Remote>>,
    ) -> Node {
        let cache = Arc::new(set(
            CachedRevocations::new(Arc::clone(remote)).clock(clock.clone())
        ));
        let builder = builder().0.clock(clock.clone());
        Node {
            tokens: builder.revocation(Arc::clone(&cache)).build().unwrap(),
            cache,
        }
    }

    fn setting() -> (Arc<Remote>, ManualClock) {
        let clock = ManualClock::at_unix_seconds(crate::support::NOW);
        (Remote::new(&clock), clock)
    }

    #[tokio::test]
    async fn the_store_is_asked_once_per_cache_period() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| cache);
        let verifier = node.tokens.verifier();
        let token = node.tokens.access("alice").issue().unwrap();
        for _ in 0..10 {
            assert_eq!(kind(&verifier, &token).await, Ok(()));
        }
        assert_eq!(remote.asked(), 1);
        clock.advance(Duration::from_millis(4999));
        assert_eq!(kind(&verifier, &token).await, Ok(()));
        assert_eq!(remote.asked(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(kind(&verifier, &token).await, Ok(()));
        assert_eq!(remote.asked(), 2);
    }

    #[tokio::test]
    async fn concurrent_look_ups_of_one_token_are_one_look_up() {
        let (remote, clock) = setting();
        *remote.delay.lock().unwrap() = Duration::from_millis(20);
        let node = node(&remote, &clock, |cache| cache);
        let token = node.tokens.access("alice").issue().unwrap();
        for round in 1..=2 {
            let mut checks = tokio::task::JoinSet::new();
            for _ in 0..64 {
                let (verifier, token) = (node.tokens.verifier(), token.clone());
                checks.spawn(async move { kind(&verifier, &token).await });
            }
            while let Some(verdict) = checks.join_next().await {
                assert_eq!(verdict.unwrap(), Ok(()));
            }
            assert_eq!(remote.asked(), round);
            clock.advance(Duration::from_secs(5)); // the cached answer has expired, so the same happens again
        }
    }

    #[tokio::test]
    async fn the_next_request_takes_over_a_dropped_look_up() {
        let (remote, clock) = setting();
        *remote.delay.lock().unwrap() = Duration::from_secs(3600);
        let node = node(&remote, &clock, |cache| cache);
        let (verifier, token) = (
            node.tokens.verifier(),
            node.tokens.access("a").issue().unwrap(),
        );
        // The request is dropped once it has asked.
        assert!(verifier.verify(&token).now_or_never().is_none());
        assert_eq!(remote.asked(), 1);
        *remote.delay.lock().unwrap() = Duration::ZERO;
        assert_eq!(kind(&verifier, &token).await, Ok(()));
        assert_eq!(remote.asked(), 2);
    }

    #[tokio::test]
    async fn a_revocation_takes_a_cache_period_only_on_other_nodes() {
        let (remote, clock) = setting();
        let (here, there) = (
            node(&remote, &clock, |cache| cache),
            node(&remote, &clock, |cache| cache),
        );
        let token = here.tokens.access("alice").session("s1").issue().unwrap();
        let (near, far) = (here.tokens.verifier(), there.tokens.verifier());
        assert_eq!(kind(&near, &token).await, Ok(()));
        assert_eq!(kind(&far, &token).await, Ok(()));

        here.tokens.revoke_session("s1").await.unwrap();
        assert_eq!(kind(&near, &token).await, Err(Revoked));
        assert_eq!(
            kind(&far, &token).await,
            Ok(()),
            "the documented cache period"
        );
        clock.advance(Duration::from_secs(5));
        assert_eq!(kind(&far, &token).await, Err(Revoked));

        // The answer "revoked" is final: the store is not asked again, and an outage changes nothing.
        let asked = remote.asked();
        remote.set_down(true);
        clock.advance(Duration::from_secs(500));
        assert_eq!(kind(&far, &token).await, Err(Revoked));
        assert_eq!(remote.asked(), asked);
    }

    #[tokio::test]
    async fn a_local_revocation_outlives_its_local_entry() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| cache);
        let token = node.tokens.access("alice").issue().unwrap();
        let verifier = node.tokens.verifier();
        assert_eq!(kind(&verifier, &token).await, Ok(()));
        node.tokens.revoke_subject("alice").await.unwrap();
        for _ in 0..200 {
            assert_eq!(kind(&verifier, &token).await, Err(Revoked));
            clock.advance(Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn an_outage_is_a_503_and_keeps_cached_answers() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| cache);
        let verifier = node.tokens.verifier();
        let (known, fresh) = (
            node.tokens.access("a").issue().unwrap(),
            node.tokens.access("b").issue().unwrap(),
        );
        assert_eq!(kind(&verifier, &known).await, Ok(()));
        remote.set_down(true);
        assert_eq!(
            kind(&verifier, &known).await,
            Ok(()),
            "within the cache period"
        );
        assert_eq!(kind(&verifier, &fresh).await, Err(Unavailable));
        clock.advance(Duration::from_secs(5));
        assert_eq!(kind(&verifier, &known).await, Err(Unavailable)); // OWASP ASVS 5.0 V16.5.2
        let error = node.tokens.revoke_subject("a").await.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
        remote.set_down(false);
        assert_eq!(
            kind(&verifier, &known).await,
            Ok(()),
            "recovers without a restart"
        );
        assert_eq!(kind(&verifier, &fresh).await, Ok(()));
    }

    #[tokio::test]
    async fn a_stale_answer_is_served_only_as_long_as_allowed() {
        let (remote, clock) = setting();
        let policy = OutagePolicy::ServeStale(Duration::from_secs(60));
        let node = node(&remote, &clock, |cache| cache.on_outage(policy));
        let verifier = node.tokens.verifier();
        let (known, fresh) = (
            node.tokens.access("a").issue().unwrap(),
            node.tokens.access("b").issue().unwrap(),
        );
        assert_eq!(kind(&verifier, &known).await, Ok(()));
        remote.set_down(true);
        for second in 1..60 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(kind(&verifier, &known).await, Ok(()), "after {second} s");
        }
        assert_eq!(
            kind(&verifier, &fresh).await,
            Err(Unavailable),
            "never asked about"
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!(kind(&verifier, &known).await, Err(Unavailable));
    }

    #[tokio::test]
    async fn failing_open_is_counted() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| {
            cache.on_outage(OutagePolicy::DangerousFailOpen)
        });
        let token = node.tokens.access("alice").issue().unwrap();
        remote.set_down(true);
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        assert_eq!(node.cache.passed_unchecked(), 2);
        remote.set_down(false);
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        assert_eq!(node.cache.passed_unchecked(), 2);
    }

    #[tokio::test]
    async fn a_slow_store_is_an_outage() {
        let (remote, clock) = setting();
        *remote.delay.lock().unwrap() = Duration::from_secs(3600);
        let node = node(&remote, &clock, |cache| cache);
        let token = node.tokens.access("alice").issue().unwrap();
        let start = std::time::Instant::now();
        assert_eq!(
            kind(&node.tokens.verifier(), &token).await,
            Err(Unavailable)
        );
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_prolong_answers() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| cache);
        let token = node.tokens.access("alice").issue().unwrap();
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(crate::support::NOW - 10));
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        assert_eq!(remote.asked(), 2);
    }

    #[tokio::test]
    async fn a_full_cache_asks_the_store_again() {
        let (remote, clock) = setting();
        let node = node(&remote, &clock, |cache| cache.capacity(10));
        let verifier = node.tokens.verifier();
        let all: Vec<_> = (0..200)
            .map(|_| node.tokens.access("a").issue().unwrap())
            .collect();
        for token in &all {
            assert_eq!(kind(&verifier, token).await, Ok(()));
        }
        node.tokens.revoke_subject("a").await.unwrap();
        clock.advance(Duration::from_secs(20));
        for token in &all {
            assert_eq!(kind(&verifier, token).await, Err(Revoked));
        }
    }

    #[tokio::test]
    async fn local_revocations_are_kept_in_an_outage() {
        for policy in [
            OutagePolicy::ServeStale(Duration::from_secs(600)),
            OutagePolicy::DangerousFailOpen,
        ] {
            let (remote, clock) = setting();
            let node = node(&remote, &clock, |cache| cache.on_outage(policy));
            let verifier = node.tokens.verifier();
            let token = node.tokens.access("alice").issue().unwrap();
            let verified = verifier.verify(&token).await.unwrap();
            node.tokens.revoke(&verified).await.unwrap();
            remote.set_down(true);
            for _ in 0..50 {
                assert_eq!(kind(&verifier, &token).await, Err(Revoked), "{policy:?}");
                clock.advance(Duration::from_secs(10));
            }
        }
    }

    #[tokio::test]
    async fn no_duration_is_too_long() {
        let (remote, clock) = setting();
        let long = |cache: CachedRevocations<_>| {
            cache.store_timeout(Duration::MAX).cache_for(Duration::MAX)
        };
        let node = node(&remote, &clock, long);
        let token = node.tokens.access("alice").issue().unwrap();
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Ok(()));
        node.tokens.revoke_subject("alice").await.unwrap();
        assert_eq!(kind(&node.tokens.verifier(), &token).await, Err(Revoked));
    }

    #[tokio::test]
    async fn a_look_up_that_is_not_polled_blocks_no_other() {
        let (remote, clock) = setting();
        *remote.delay.lock().unwrap() = Duration::from_millis(10);
        let node = node(&remote, &clock, |cache| cache);
        let (verifier, token) = (
            node.tokens.verifier(),
            node.tokens.access("a").issue().unwrap(),
        );
        let mut leader = Box::pin(verifier.verify(&token));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(leader.as_mut().poll(&mut cx).is_pending());
        let second = tokio::time::timeout(Duration::from_secs(5), kind(&verifier, &token)).await;
        assert_eq!(second.unwrap(), Err(Unavailable));
        // If it is polled again much later, its old answer no longer counts.
        clock.advance(Duration::from_secs(60));
        assert_eq!(
            leader.await.map(drop).map_err(|error| error.kind()),
            Err(Unavailable)
        );
        assert_eq!(kind(&verifier, &token).await, Ok(()));
    }

    #[derive(Debug)]
    struct Hangs;

    impl RevocationStore for Hangs {
        async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
            std::future::pending().await
        }
        async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_on_revoke_is_an_outage() {
        let tokens = builder()
            .0
            .revocation(CachedRevocations::new(Hangs))
            .build()
            .unwrap();
        let error = tokens.revoke_subject("alice").await.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
    }

    #[tokio::test]
    async fn a_pushed_revocation_counts_at_once_and_for_long_enough() {
        let (remote, clock) = setting();
        let (here, there) = (
            node(&remote, &clock, |cache| cache),
            node(&remote, &clock, |cache| cache),
        );
        let token = here.tokens.access("alice").session("s1").issue().unwrap();
        let far = there.tokens.verifier();
        assert_eq!(kind(&far, &token).await, Ok(()));
        here.tokens.revoke_session("s1").await.unwrap();
        let until = tower_jwt_auth::clock::Clock::now(&clock) + Duration::from_secs(900);
        there
            .cache
            .apply(&Revocation::session(Some("me"), "s1", until));
        for _ in 0..20 {
            assert_eq!(kind(&far, &token).await, Err(Revoked));
            clock.advance(Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn forgotten_negatives_are_looked_up_again() {
        let (remote, clock) = setting();
        let policy = OutagePolicy::ServeStale(Duration::from_secs(60));
        let node = node(&remote, &clock, |cache| cache.on_outage(policy));
        let verifier = node.tokens.verifier();
        let token = node.tokens.access("alice").issue().unwrap();
        for asked in 1..=3 {
            assert_eq!(kind(&verifier, &token).await, Ok(()));
            assert_eq!(kind(&verifier, &token).await, Ok(()));
            assert_eq!(remote.asked(), asked);
            node.cache.forget_negatives();
        }
        remote.set_down(true);
        assert_eq!(kind(&verifier, &token).await, Ok(()), "served stale");
        clock.advance(Duration::from_secs(60));
        assert_eq!(kind(&verifier, &token).await, Err(Unavailable));
    }

    #[tokio::test]
    async fn a_late_answer_does_not_survive_forget_negatives() {
        let (remote, clock) = setting();
        *remote.delay.lock().unwrap() = Duration::from_millis(20);
        let node = node(&remote, &clock, |cache| cache);
        let verifier = node.tokens.verifier();
        let token = node.tokens.access("alice").issue().unwrap();
        let (early, late) = tokio::join!(kind(&verifier, &token), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            node.cache.forget_negatives();
            kind(&verifier, &token).await
        });
        assert_eq!((early, late), (Ok(()), Ok(())));
        assert_eq!(remote.asked(), 2);
    }
}
