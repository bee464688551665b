//! [`Resolving`]: caches the issuers that a resolver was asked for.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::judge::{Progress, VerifiedToken};
use super::resolver::{DynIssuerResolver, RESOLVER_TIMEOUT};
use super::service::{Issuers, TokenVerifier};
use super::single::Single;
use crate::clock::{Clock, as_micros, unix_micros};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::policy::Possession;
use crate::sync::timeout;
use crate::turns::Turns;

/// The most requests that may wait for a resolver; further ones are answered with 503.
const MAX_WAITING: usize = 256;
/// The most unknown issuers that are remembered.
const MAX_UNKNOWN: usize = 4096;
/// The longest issuer that is looked up, in bytes.
const MAX_ISSUER_BYTES: usize = 512;
/// The pause after a failure before the resolver is asked again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) cache_for: u64,
    pub(super) cache_unknown_for: u64,
    pub(super) stale_for: u64,
}

/// The issuers that a resolver has found, and those that it does not know.
pub(super) struct Resolving {
    resolver: Arc<dyn DynIssuerResolver>,
    max_issuers: usize,
    times: Times,
    clock: Arc<dyn Clock>,
    /// Readers take no lock.
    known: ArcSwap<HashMap<Box<str>, Arc<Known>>>,
    refused: Mutex<Refused>,
    /// One turn for each issuer that is being asked about.
    asking: Turns,
    places: Semaphore,
}

struct Known {
    single: Single,
    /// When the resolver last confirmed the issuer, in microseconds.
    resolved_at: AtomicU64,
    last_used: AtomicU64,
    /// Until when the resolver is not asked again after a failure; zero if it has not failed.
    failed_until: AtomicU64,
    is_being_confirmed: AtomicBool,
}

/// The issuers that were refused recently. The number is bounded, and the oldest is dropped first.
#[derive(Default)]
struct Refused {
    until: HashMap<Box<str>, (u64, Option<AuthError>)>,
    order: VecDeque<Box<str>>,
}

/// Marks a known issuer as being confirmed until it is dropped.
struct Confirming(Arc<Known>);

/// What the cache says about an issuer.
enum Memory {
    Known(Single),
    Refused(AuthError),
    Nothing,
}

// === impl Resolving ===

impl Resolving {
    pub(super) fn new(
        resolver: Arc<dyn DynIssuerResolver>,
        max_issuers: usize,
        times: Times,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            resolver,
            max_issuers,
            times,
            clock,
            known: ArcSwap::default(),
            refused: Mutex::default(),
            asking: Turns::default(),
            places: Semaphore::new(MAX_WAITING),
        }
    }

    /// Verifies a token of this issuer, and waits only if the issuer is not in memory.
    pub(super) fn start(
        self: &Arc<Self>,
        issuer: &str,
        token: &[u8],
        held: &Possession,
    ) -> Progress {
        match self.in_memory(issuer) {
            Memory::Known(single) => single.start(token, held),
            Memory::Refused(error) => Progress::Done(Err(error)),
            Memory::Nothing => {
                let (this, issuer) = (Arc::clone(self), issuer.to_owned());
                let (token, held) = (token.to_owned(), *held);
                Progress::Wait(Box::pin(async move {
                    let single = this.find(&issuer).await?;
                    single.start(&token, &held).finish().await
                }))
            }
        }
    }

    /// Verifies a token of an issuer that is in memory.
    pub(super) fn verify_local(
        self: &Arc<Self>,
        issuer: &str,
        token: &[u8],
        held: &Possession,
    ) -> Result<VerifiedToken, AuthError> {
        match self.in_memory(issuer) {
            Memory::Known(single) => single.verify_local(token, held),
            Memory::Refused(error) => Err(error),
            Memory::Nothing => Err(AuthError::new(AuthErrorKind::Unavailable).with_source(
                "the issuer is not in memory, and `verify_local` does not ask the resolver",
            )),
        }
    }

    pub(super) fn singles(&self) -> Vec<Single> {
        let known = self.known.load();
        known.values().map(|known| known.single.clone()).collect()
    }

    fn in_memory(self: &Arc<Self>, issuer: &str) -> Memory {
        let now = self.now();
        if let Some(known) = self.known.load().get(issuer) {
            // If the clock was set back, the issuer counts as old, so it is not known for longer.
            let age = now.checked_sub(known.resolved_at.load(Ordering::Acquire));
            let age = age.unwrap_or(self.times.cache_for);
            let failed_until = known.failed_until.load(Ordering::Acquire);
            known.last_used.store(now, Ordering::Relaxed);
            if age < self.times.cache_for || (failed_until > 0 && self.bridges(age)) {
                let is_due = age >= self.times.cache_for / 5 * 4;
                if is_due && now >= failed_until {
                    self.confirm(issuer, known);
                }
                return Memory::Known(known.single.clone());
            }
            // The resolver may have failed just now.
            return match self.refused().get(issuer, now) {
                Some(error) => Memory::Refused(error),
                None => Memory::Nothing,
            };
        }
        if issuer.len() > MAX_ISSUER_BYTES || !self.resolver.accepts(issuer) {
            return Memory::Refused(unknown());
        }
        match self.refused().get(issuer, now) {
            Some(error) => Memory::Refused(error),
            None => Memory::Nothing,
        }
    }

    /// Asks in the background whether a known issuer still exists, one call at a time.
    fn confirm(self: &Arc<Self>, issuer: &str, known: &Arc<Known>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if known.is_being_confirmed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (this, issuer, known) = (Arc::clone(self), issuer.to_owned(), Arc::clone(known));
        runtime.spawn(async move {
            // Clears the mark even if the resolver panics or the runtime ends.
            let _confirming = Confirming(known);
            drop(this.ask(&issuer).await);
        });
    }

    /// Finds an issuer that is not in memory. Concurrent requests wait for the same answer.
    async fn find(self: &Arc<Self>, issuer: &str) -> Result<Single, AuthError> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(AuthErrorKind::Unavailable.into());
        };
        let _turn = self.asking.wait(issuer).await;
        match self.in_memory(issuer) {
            Memory::Known(single) => Ok(single),
            Memory::Refused(error) => Err(error),
            Memory::Nothing => self.ask(issuer).await,
        }
    }

    async fn ask(&self, issuer: &str) -> Result<Single, AuthError> {
        let known = self.known.load().get(issuer).cloned();
        let before = known.as_ref().map(|known| known.single.clone().into());
        let asked_at = self.now();
        let call = self.resolver.resolve(issuer, before);
        let answer = match timeout(RESOLVER_TIMEOUT, call).await {
            Ok(answer) => answer,
            Err(_) => Err(AuthError::new(AuthErrorKind::Unavailable)
                .with_source("the resolver of issuers did not respond within 2 seconds")),
        };
        match answer {
            Ok(Some(verifier)) => {
                let single = verifier_of(issuer, verifier)?;
                self.keep(issuer, known, single.clone(), asked_at);
                Ok(single)
            }
            Ok(None) => {
                self.forget(issuer);
                let until = self.now().saturating_add(self.times.cache_unknown_for);
                self.refused().put(issuer, until, None);
                Err(unknown())
            }
            Err(error) => {
                let now = self.now();
                let until = now.saturating_add(as_micros(AFTER_FAILURE));
                if let Some(known) = known {
                    let age = now.saturating_sub(known.resolved_at.load(Ordering::Acquire));
                    if self.bridges(age) {
                        known.failed_until.store(until, Ordering::Release);
                        return Ok(known.single.clone());
                    }
                }
                self.refused().put(issuer, until, Some(error.clone()));
                Err(error)
            }
        }
    }

    fn keep(&self, issuer: &str, before: Option<Arc<Known>>, single: Single, at: u64) {
        self.refused().remove(issuer);
        if let Some(before) = before
            && before.single.is(&single)
        {
            before.resolved_at.store(at, Ordering::Release);
            before.failed_until.store(0, Ordering::Release);
            return;
        }
        let known = Arc::new(Known {
            single,
            resolved_at: AtomicU64::new(at),
            last_used: AtomicU64::new(at),
            failed_until: AtomicU64::new(0),
            is_being_confirmed: AtomicBool::new(false),
        });
        self.known.rcu(|all| {
            let mut all = HashMap::clone(all);
            if !all.contains_key(issuer) && all.len() >= self.max_issuers {
                let used_last = |known: &Arc<Known>| known.last_used.load(Ordering::Relaxed);
                let oldest = all.iter().min_by_key(|(_, known)| used_last(known));
                let oldest = oldest.map(|(issuer, _)| issuer.clone());
                if let Some(oldest) = oldest {
                    all.remove(&oldest);
                }
            }
            all.insert(issuer.into(), Arc::clone(&known));
            all
        });
    }

    fn forget(&self, issuer: &str) {
        if self.known.load().contains_key(issuer) {
            self.known.rcu(|all| {
                let mut all = HashMap::clone(all);
                all.remove(issuer);
                all
            });
        }
    }

    /// Whether an issuer that was confirmed so long ago is accepted while the resolver fails.
    fn bridges(&self, age: u64) -> bool {
        age < self.times.cache_for.saturating_add(self.times.stale_for)
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        unix_micros(self.clock.now())
    }
}

impl Debug for Resolving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolving")
            .field("resolver", &self.resolver)
            .field("known", &self.known.load().len())
            .finish_non_exhaustive()
    }
}

// === impl Confirming ===

impl Drop for Confirming {
    fn drop(&mut self) {
        self.0.is_being_confirmed.store(false, Ordering::Release);
    }
}

// === impl Refused ===

impl Refused {
    fn get(&self, issuer: &str, now: u64) -> Option<AuthError> {
        let (until, error) = self.until.get(issuer)?;
        (now < *until).then(|| error.clone().unwrap_or_else(unknown))
    }

    /// Lets an entry expire. Its name stays in `order`, which is bounded as well, until its turn comes.
    fn remove(&mut self, issuer: &str) {
        if let Some((until, _)) = self.until.get_mut(issuer) {
            *until = 0;
        }
    }

    fn put(&mut self, issuer: &str, until: u64, error: Option<AuthError>) {
        if self.until.insert(issuer.into(), (until, error)).is_none() {
            self.order.push_back(issuer.into());
        }
        while self.order.len() > MAX_UNKNOWN {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }
}

/// Checks that the verifier trusts this issuer. Otherwise one tenant could issue tokens for another.
fn verifier_of(issuer: &str, verifier: TokenVerifier) -> Result<Single, AuthError> {
    match verifier.issuers {
        Issuers::One(single) if single.issuers().iter().any(|one| **one == *issuer) => Ok(single),
        _ => Err(AuthError::new(AuthErrorKind::Internal).with_source(
            "the resolver returned a verifier that does not trust the issuer that was asked for: set it \
             with `.issuer(issuer)`",
        )),
    }
}

fn unknown() -> AuthError {
    AuthError::new(AuthErrorKind::InvalidIssuer).because(&Reason {
        code: "issuer_not_resolved",
        message: "no verifier is known for the token's issuer",
    })
}
