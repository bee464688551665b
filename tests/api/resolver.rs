//! Issuers that are known only at run time: what the resolver is asked, and how often.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::verifier::{IssuerResolver, ResolverBuilder};
use tower_jwt_auth::{AuthError, AuthErrorKind, TokenIssuer, TokenVerifier};

use crate::support::{NOW, key};

/// Tenants in a table, and how often the table was read.
#[derive(Debug, Clone)]
struct Tenants {
    table: Arc<Mutex<HashMap<String, TokenVerifier>>>,
    asked: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    /// A call continues once it has a permit.
    gate: Arc<Semaphore>,
    clock: ManualClock,
}

fn address(tenant: &str) -> String {
    format!("https://login.example/{tenant}")
}

impl Tenants {
    fn new(names: &[&str]) -> Self {
        let tenants = Self {
            table: Arc::default(),
            asked: Arc::default(),
            is_down: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            clock: ManualClock::at_unix_seconds(NOW),
        };
        names.iter().for_each(|name| tenants.add(name));
        tenants
    }

    fn issuer(&self, name: &str) -> TokenIssuer {
        let tokens = TokenIssuer::builder(key()).issuer(address(name));
        let tokens = tokens.audience("api").clock(self.clock.clone());
        tokens
            .max_access_ttl(Duration::from_secs(86_400))
            .build()
            .unwrap()
    }

    fn token(&self, name: &str) -> String {
        let issuer = self.issuer(name);
        let token = issuer.access("alice").ttl(Duration::from_secs(86_400));
        token.issue().unwrap()
    }

    fn add(&self, name: &str) {
        let verifier = self.issuer(name).verifier();
        self.table.lock().unwrap().insert(address(name), verifier);
    }

    fn remove(&self, name: &str) {
        self.table.lock().unwrap().remove(&address(name));
    }

    fn builder(&self) -> ResolverBuilder {
        TokenVerifier::resolver_builder(self.clone()).clock(self.clock.clone())
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl IssuerResolver for Tenants {
    fn accepts(&self, issuer: &str) -> bool {
        issuer.starts_with("https://login.example/")
    }

    async fn resolve(
        &self,
        issuer: &str,
        known: Option<TokenVerifier>,
    ) -> Result<Option<TokenVerifier>, AuthError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if self.is_down.load(Ordering::SeqCst) {
            return Err(AuthErrorKind::Unavailable.into());
        }
        let found = self.table.lock().unwrap().get(issuer).cloned();
        Ok(found.map(|found| known.unwrap_or(found)))
    }
}

async fn verdict(verifier: &TokenVerifier, token: &str) -> &'static str {
    let error = verifier.verify(token).await.err();
    error.as_ref().map_or("accepted", AuthError::reason)
}

/// Waits until the resolver was called in the background and has returned.
async fn asked_in_background(tenants: &Tenants) {
    while tenants.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tenants.asked(), 1);
}

#[tokio::test]
async fn each_issuer_is_resolved_once_whether_known_or_not() {
    let tenants = Tenants::new(&["acme", "globex"]);
    let verifier = tenants.builder().build().unwrap();
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &tenants.token("acme")).await, "accepted");
        assert_eq!(
            verdict(&verifier, &tenants.token("globex")).await,
            "accepted"
        );
        let unknown = verdict(&verifier, &tenants.token("nobody")).await;
        assert_eq!(unknown, "issuer_not_resolved");
    }
    assert_eq!(tenants.asked(), 3);
    let known = verifier.verify_local(&tenants.token("acme"));
    assert!(known.is_ok());
}

#[tokio::test]
async fn tokens_without_an_issuer_do_not_reach_the_resolver() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.builder().build().unwrap();
    let stranger = TokenIssuer::builder(key())
        .issuer("https://evil.example")
        .audience("api");
    let stranger = stranger.build().unwrap().access("alice").issue().unwrap();
    assert_eq!(verdict(&verifier, &stranger).await, "issuer_not_resolved");
    let long = tenants.token(&"x".repeat(600));
    assert_eq!(verdict(&verifier, &long).await, "issuer_not_resolved");
    let nobody = TokenIssuer::builder(key())
        .dangerous_no_issuer()
        .audience("api");
    let nobody = nobody.build().unwrap().access("alice").issue().unwrap();
    assert_eq!(verdict(&verifier, &nobody).await, "invalid_issuer");
    assert_eq!(verdict(&verifier, "garbage").await, "not_three_parts");
    let unseen = verifier.verify_local(&tenants.token("acme")).unwrap_err();
    assert_eq!(unseen.kind(), AuthErrorKind::Unavailable);
    assert_eq!(tenants.asked(), 0);
}

#[tokio::test]
async fn concurrent_requests_for_one_issuer_share_a_look_up() {
    let tenants = Tenants::new(&["acme"]);
    tenants.gate.forget_permits(Semaphore::MAX_PERMITS);
    let verifier = tenants.builder().build().unwrap();
    let token = tenants.token("acme");
    let requests: Vec<_> = (0..64)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    while tenants.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    tenants.gate.add_permits(1);
    for request in requests {
        assert_eq!(request.await.unwrap(), "accepted");
    }
    assert_eq!(tenants.asked(), 1);
}

#[tokio::test]
async fn after_a_dropped_request_the_next_one_asks() {
    let tenants = Tenants::new(&["acme"]);
    tenants.gate.forget_permits(Semaphore::MAX_PERMITS);
    let verifier = tenants.builder().build().unwrap();
    let token = tenants.token("acme");
    let dropped = {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verdict(&verifier, &token).await })
    };
    while tenants.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    tenants.gate.add_permits(1);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(tenants.asked(), 2);
}

#[tokio::test]
async fn a_removed_tenant_is_refused_at_its_next_confirmation() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.builder().build().unwrap();
    let token = tenants.token("acme");
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    tenants.remove("acme");
    tenants.advance(299);
    assert_eq!(tenants.asked(), 1);
    // The old answer is still used while the resolver is asked in the background.
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    asked_in_background(&tenants).await;
    assert_eq!(verdict(&verifier, &token).await, "issuer_not_resolved");
    // A tenant that returns is found once the refusal has expired.
    tenants.add("acme");
    assert_eq!(verdict(&verifier, &token).await, "issuer_not_resolved");
    tenants.advance(30);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(tenants.asked(), 1);
    // A tenant that was not used meanwhile is confirmed before it is accepted.
    tenants.remove("acme");
    tenants.advance(300);
    assert_eq!(verdict(&verifier, &token).await, "issuer_not_resolved");
}

#[tokio::test]
async fn a_tenant_in_use_is_confirmed_without_a_wait() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.builder().build().unwrap();
    let token = tenants.token("acme");
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(tenants.asked(), 1);
    for _ in 0..5 {
        tenants.advance(250);
        assert_eq!(verdict(&verifier, &token).await, "accepted");
        asked_in_background(&tenants).await;
    }
}

#[tokio::test]
async fn in_an_outage_known_tenants_work_for_an_hour() {
    let tenants = Tenants::new(&["acme", "globex"]);
    let verifier = tenants.builder().build().unwrap();
    let (acme, globex) = (tenants.token("acme"), tenants.token("globex"));
    assert_eq!(verdict(&verifier, &acme).await, "accepted");
    tenants.is_down.store(true, Ordering::SeqCst);
    assert_eq!(tenants.asked(), 1);
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &globex).await, "unavailable");
    }
    assert_eq!(tenants.asked(), 1, "left alone for a second");
    tenants.advance(300);
    assert_eq!(verdict(&verifier, &acme).await, "accepted");
    assert_eq!(tenants.asked(), 1);
    assert_eq!(verdict(&verifier, &acme).await, "accepted");
    assert_eq!(
        tenants.asked(),
        0,
        "no request waits for what has just failed"
    );
    tenants.advance(3599);
    assert_eq!(verdict(&verifier, &acme).await, "accepted");
    tenants.advance(2);
    assert_eq!(verdict(&verifier, &acme).await, "unavailable");
    tenants.is_down.store(false, Ordering::SeqCst);
    tenants.advance(2);
    assert_eq!(verdict(&verifier, &acme).await, "accepted");
    assert_eq!(verdict(&verifier, &globex).await, "accepted");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_is_an_outage() {
    let tenants = Tenants::new(&["acme"]);
    tenants.gate.forget_permits(Semaphore::MAX_PERMITS);
    let verifier = tenants.builder().build().unwrap();
    let error = verifier.verify(&tenants.token("acme")).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
}

#[tokio::test]
async fn the_least_recently_used_issuer_makes_room() {
    let tenants = Tenants::new(&["a", "b", "c"]);
    let verifier = tenants.builder().max_issuers(2).build().unwrap();
    for name in ["a", "b", "a", "c", "a"] {
        tenants.advance(1);
        assert_eq!(verdict(&verifier, &tenants.token(name)).await, "accepted");
    }
    assert_eq!(tenants.asked(), 3);
    assert_eq!(verdict(&verifier, &tenants.token("b")).await, "accepted");
    assert_eq!(tenants.asked(), 1);
}

#[tokio::test]
async fn a_resolver_cannot_let_one_tenant_speak_for_another() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.issuer("acme").verifier();
    tenants
        .table
        .lock()
        .unwrap()
        .insert(address("globex"), verifier);
    let verifier = tenants.builder().build().unwrap();
    for name in ["acme", "globex"] {
        let error = verifier.verify(&tenants.token(name)).await.err();
        let expected = (name == "globex").then_some(AuthErrorKind::Internal);
        assert_eq!(error.map(|error| error.kind()), expected, "{name}");
    }
}

#[tokio::test]
async fn named_issuers_come_before_the_resolver() {
    let tenants = Tenants::new(&["acme"]);
    let staff = tenants.issuer("staff");
    let resolver = tenants.builder().build().unwrap();
    let both = TokenVerifier::for_issuers([resolver.clone(), staff.verifier()]).unwrap();
    assert_eq!(verdict(&both, &tenants.token("staff")).await, "accepted");
    assert_eq!(tenants.asked(), 0);
    assert_eq!(verdict(&both, &tenants.token("acme")).await, "accepted");
    let two = TokenVerifier::for_issuers([resolver.clone(), resolver]).unwrap_err();
    assert!(
        two.to_string()
            .contains("two of the verifiers have a resolver"),
        "{two}"
    );
    for builder in [
        tenants.builder().max_issuers(0),
        tenants.builder().cache_for(Duration::ZERO),
    ] {
        assert!(
            builder
                .build()
                .unwrap_err()
                .to_string()
                .contains("set both above zero")
        );
    }
}

#[tokio::test]
async fn an_unconfirmed_tenant_is_not_looked_up_by_each_request() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.builder().stale_for(Duration::ZERO).build().unwrap();
    let token = tenants.token("acme");
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    tenants.is_down.store(true, Ordering::SeqCst);
    tenants.advance(300);
    assert_eq!(tenants.asked(), 1);
    for _ in 0..5 {
        assert_eq!(verdict(&verifier, &token).await, "unavailable");
    }
    assert_eq!(tenants.asked(), 1, "left alone for a second");
    tenants.is_down.store(false, Ordering::SeqCst);
    tenants.advance(1);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
}

#[tokio::test]
async fn a_clock_set_back_keeps_no_tenant_for_longer() {
    let tenants = Tenants::new(&["acme"]);
    let verifier = tenants.builder().build().unwrap();
    let token = tenants.token("acme");
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    tenants.remove("acme");
    tenants
        .clock
        .set(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 20));
    assert_eq!(verdict(&verifier, &token).await, "issuer_not_resolved");
}
