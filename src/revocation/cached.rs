//! [`CachedRevocations`]: a cache in front of any store, so that most requests need no look-up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;

use super::changes::RevocationChanges;
use super::slot::{Answer, Key, Question, Slot, age, no_answer};
use super::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::slots::Slots;
use crate::store::StoreError;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::timeout;

/// The default cache period, for which the answer "not revoked" is cached: 5 seconds. It is the longest time
/// for which a revocation made on another node goes unnoticed.
pub const DEFAULT_REVOCATION_CACHE_FOR: Duration = Duration::from_secs(5);
/// The default time limit for the store to respond, after which it counts as unavailable: 50 ms.
pub const DEFAULT_REVOCATION_STORE_TIMEOUT: Duration = Duration::from_millis(50);
/// The time limit for the store to record a revocation, unless the other timeout is longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The default number of tokens whose answers are cached.
const DEFAULT_CAPACITY: u64 = 100_000;

/// What happens to a request when the store is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutagePolicy {
    /// The response is a 503. A token that was just revoked is accepted for the rest of the cache period at
    /// most. This is the default.
    #[default]
    FailClosed,
    /// The request is let through if the store answered "not revoked" within this time before it.
    /// Otherwise the response is a 503.
    ServeStale(Duration),
    /// The request is let through, and [counted](CachedRevocations::passed_unchecked).
    ///
    /// # Security
    ///
    /// An attacker who can make the store fail can use revoked tokens again.
    DangerousFailOpen,
}

/// A cache in front of a revocation store.
///
/// - The answer "not revoked" is cached for [the cache period](Self::cache_for) (5 s by default), counted
///   from before the store was asked. That is the longest time for which a revocation made on another
///   node goes unnoticed. A revocation made through this object takes effect at once.
/// - The answer "revoked" is final. It stays in the cache until the cache needs the space.
/// - Concurrent look-ups of one token are one look-up in the store.
/// - If the store does not respond within [the timeout](Self::store_timeout) (50 ms by default), it counts
///   as unavailable, and [the policy](Self::on_outage) decides.
///
/// The cache has a bounded size. If it drops an answer, it asks the store again.
///
/// It needs a Tokio runtime with its timer enabled.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::revocation::{CachedRevocations, MemoryRevocations, OutagePolicy};
///
/// let store = MemoryRevocations::new(); // or one that all nodes share
/// let revocations = CachedRevocations::new(store)
///     .cache_for(Duration::from_secs(2))
///     .on_outage(OutagePolicy::ServeStale(Duration::from_secs(60)));
/// # let _ = revocations;
/// ```
pub struct CachedRevocations<S> {
    store: S,
    cache_for: Duration,
    timeout: Duration,
    policy: OutagePolicy,
    clock: Arc<dyn Clock>,
    answers: Slots<Key, Slot>,
    /// What was revoked through this object, for as long as an older answer may be in use.
    fresh: MemoryRevocations,
    passed_unchecked: AtomicU64,
    /// Grows when pushed revocations were lost. A "not revoked" of an earlier epoch no longer counts.
    epoch: AtomicU64,
}

// === impl CachedRevocations ===

impl<S: RevocationStore> CachedRevocations<S> {
    /// Creates a cache in front of `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            cache_for: DEFAULT_REVOCATION_CACHE_FOR,
            timeout: DEFAULT_REVOCATION_STORE_TIMEOUT,
            policy: OutagePolicy::FailClosed,
            clock: Arc::new(SystemClock),
            answers: Slots::new(DEFAULT_CAPACITY),
            fresh: MemoryRevocations::new(),
            passed_unchecked: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    /// Sets how long the answer "not revoked" is cached: 5 seconds by default. With zero, each
    /// request asks the store.
    #[must_use]
    pub fn cache_for(mut self, duration: Duration) -> Self {
        self.cache_for = duration;
        self
    }

    /// Sets how long the store may take to respond: 50 ms by default. Allow more if connections are
    /// made on demand, or if the store waits for a lock, as SQLite does.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets what happens to requests when the store is unavailable: they get a 503 by default.
    #[must_use]
    pub fn on_outage(mut self, policy: OutagePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the number of tokens whose answers are cached: 100,000 by default, at some 300 bytes
    /// each.
    #[must_use]
    pub fn capacity(mut self, tokens: u64) -> Self {
        self.answers = Slots::new(tokens);
        self
    }

    /// Sets the clock that measures the age of answers.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.fresh = MemoryRevocations::with_shared_clock(Arc::clone(&self.clock));
        self
    }

    /// Returns the store behind the cache.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the number of requests that were let through without a look-up, under
    /// [`OutagePolicy::DangerousFailOpen`].
    #[must_use]
    pub fn passed_unchecked(&self) -> u64 {
        self.passed_unchecked.load(Ordering::Relaxed)
    }

    /// Applies a revocation that another node made, so that it takes effect here at once.
    ///
    /// It must be in the store already. It is remembered here only for as long as an older answer
    /// of the store may be used, by the cache period or by the policy.
    pub fn apply(&self, revocation: &Revocation) {
        self.fresh
            .insert(&revocation.no_longer_than(self.remembered_until(revocation)));
    }

    /// Drops every cached answer "not revoked", so that the store is asked again. Call it when
    /// revocations of other nodes may have been missed.
    ///
    /// [`OutagePolicy::ServeStale`] still uses the time of those answers, because an outage that
    /// makes pushes fail is likely to be the one that this policy is meant for.
    pub fn forget_negatives(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.fresh.signal().send();
    }

    fn now(&self) -> u64 {
        unix_micros(self.clock.now())
    }

    /// Returns whether an answer may still be used: "revoked" always, "not revoked" for the cache period and
    /// within its epoch, and an outage never again.
    fn holds(&self, answer: &Answer, epoch: u64, now: u64) -> bool {
        match answer.verdict {
            Ok(true) => true,
            Ok(false) => {
                self.is_current(epoch)
                    && age(answer.asked_at, now).is_some_and(|age| age < self.cache_for)
            }
            Err(_) => false,
        }
    }

    /// Returns whether an answer is too old to be used, because the task that asked was not polled
    /// for a while.
    fn is_late(&self, answer: &Answer) -> bool {
        let believed = self.cache_for.saturating_add(self.timeout);
        age(answer.asked_at, self.now()).is_some_and(|age| age > believed)
    }

    /// Returns until when a revocation must be remembered here: as long as an answer from before it
    /// may still be used, by the cache period or by the policy.
    fn remembered_until(&self, revocation: &Revocation) -> SystemTime {
        let stale = match self.policy {
            OutagePolicy::FailClosed => Duration::ZERO,
            OutagePolicy::ServeStale(max) => max,
            OutagePolicy::DangerousFailOpen => return revocation.until(),
        };
        let believed = self.cache_for.max(stale).saturating_add(self.timeout);
        let believed = believed.saturating_add(Duration::from_secs(1));
        self.clock
            .now()
            .checked_add(believed)
            .unwrap_or(revocation.until())
    }

    /// Returns the slot to take the answer from: the existing one, or a new one if its answer may no
    /// longer be used.
    fn slot(&self, query: &RevocationQuery<'_>) -> Arc<Slot> {
        let now = self.now();
        let is_spent = |slot: &Slot| match slot.answer.get() {
            Some(answer) => !self.holds(answer, slot.epoch, now),
            None => !self.is_current(slot.epoch),
        };
        self.answers.take(
            &Question(query),
            || query.into(),
            is_spent,
            |spent| self.new_slot(spent.and_then(Slot::last_good)),
        )
    }

    fn new_slot(&self, last_good: Option<u64>) -> Slot {
        Slot {
            answer: OnceCell::new(),
            epoch: self.epoch.load(Ordering::Acquire),
            last_good,
        }
    }

    fn is_current(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    async fn ask(&self, query: &RevocationQuery<'_>) -> Answer {
        let asked_at = self.now();
        let verdict = match timeout(self.timeout, self.store.is_revoked(query)).await {
            Ok(answered) => answered,
            Err(_) => Err(no_answer()),
        };
        Answer {
            verdict: verdict.map_err(Arc::new),
            asked_at,
        }
    }

    fn outage(&self, error: &Arc<StoreError>, last_good: Option<u64>) -> Result<bool, StoreError> {
        #[cfg(feature = "tracing")]
        tracing::warn!(policy = ?self.policy, error = %error, "revocation store unavailable");
        let failed = || StoreError::new(Arc::clone(error));
        match self.policy {
            OutagePolicy::FailClosed => Err(failed()),
            OutagePolicy::ServeStale(max) => {
                let age = last_good.and_then(|good| age(good, self.now()));
                if age.is_some_and(|age| age < max) {
                    Ok(false)
                } else {
                    Err(failed())
                }
            }
            OutagePolicy::DangerousFailOpen => {
                self.passed_unchecked.fetch_add(1, Ordering::Relaxed);
                Ok(false)
            }
        }
    }
}

impl<S: RevocationStore> RevocationStore for CachedRevocations<S> {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let write = self.store.revoke(revocations);
        match timeout(self.timeout.max(WRITE_TIMEOUT), write).await {
            Ok(written) => written?,
            Err(_) => return Err(no_answer()),
        }
        for revocation in revocations {
            self.apply(revocation);
        }
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        if self.fresh.hits(query) {
            return Ok(true);
        }
        let slot = self.slot(query);
        // The task that asks may not be polled by its caller, so nobody waits longer for it than
        // for the store itself.
        let waiting = slot.answer.get_or_init(|| self.ask(query));
        let Ok(answer) = timeout(self.timeout, waiting).await else {
            return self.outage(&Arc::new(no_answer()), slot.last_good);
        };
        match &answer.verdict {
            Ok(true) => Ok(true),
            Ok(false) if self.fresh.hits(query) => Ok(true),
            Ok(false) if self.is_late(answer) => {
                self.outage(&Arc::new(no_answer()), Some(answer.asked_at))
            }
            Ok(false) => Ok(false),
            Err(error) => self.outage(error, slot.last_good),
        }
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        if self.fresh.hits(query) {
            return Some(true);
        }
        let slot = self.answers.find(&Question(query))?;
        let answer = slot.answer.get()?;
        if !self.holds(answer, slot.epoch, self.now()) {
            return None;
        }
        answer.verdict.as_ref().ok().copied()
    }

    /// Returns a signal for what was revoked or [applied](Self::apply) through this object, and
    /// [the cache period](Self::cache_for) as the interval for everything else. So a stream ends at once if
    /// the revocation is pushed, and within twice the cache period otherwise.
    fn changes(&self) -> RevocationChanges {
        RevocationChanges::pushed_by(self.fresh.signal()).and_every(self.cache_for)
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedRevocations<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRevocations")
            .field("store", &self.store)
            .field("cache_for", &self.cache_for)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models;
