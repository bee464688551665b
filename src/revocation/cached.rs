//! [`CachedRevocations`]: a cache in front of any store, so that most requests ask nobody.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::OnceCell;

use super::slot::{Answer, Key, Question, Slot, age, no_answer};
use super::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::store::StoreError;

/// How long "not revoked" is believed: the longest that a revocation made elsewhere goes unnoticed.
pub const DEFAULT_LAG: Duration = Duration::from_secs(5);
/// How long the store may take to answer before that counts as an outage.
pub const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the store may take to record a revocation, if not longer anyway: worth waiting for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many tokens' answers are kept.
const DEFAULT_CAPACITY: u64 = 100_000;

/// What becomes of a request when the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutagePolicy {
    /// It is answered with 503: what was revoked passes within the lag at most. The default.
    #[default]
    FailClosed,
    /// It passes if the store said "not revoked" no longer than this ago, else 503.
    ServeStale(Duration),
    /// It passes. Each such pass is [counted](CachedRevocations::passed_unchecked).
    ///
    /// # Security
    ///
    /// Whoever can make the store fail makes revoked tokens good again.
    DangerousFailOpen,
}

/// A cache in front of a revocation store.
///
/// - "Not revoked" is believed for [the lag](Self::lag) (5 s by default), counted from
///   before the store was asked. That is the longest that a revocation made on another
///   node goes unnoticed; one made through this object holds at once.
/// - "Revoked" is final, and kept.
/// - Concurrent questions about one token are one question to the store.
/// - No answer within [the timeout](Self::timeout) (50 ms) is an outage, and
///   [the policy](Self::on_outage) decides.
///
/// The cache is bounded and is never the record: what it drops is asked for again.
///
/// Waiting needs a Tokio runtime with its timer enabled.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::revocation::{CachedRevocations, MemoryRevocations, OutagePolicy};
///
/// let store = MemoryRevocations::new(); // or one that all nodes share
/// let revocations = CachedRevocations::new(store)
///     .lag(Duration::from_secs(2))
///     .on_outage(OutagePolicy::ServeStale(Duration::from_secs(60)));
/// # let _ = revocations;
/// ```
pub struct CachedRevocations<S> {
    store: S,
    lag: Duration,
    timeout: Duration,
    policy: OutagePolicy,
    clock: Arc<dyn Clock>,
    answers: Cache<Key, Arc<Slot>>,
    /// What was revoked through this object, for as long as an older answer may be believed.
    fresh: MemoryRevocations,
    passed_unchecked: AtomicU64,
    /// Grows when pushed revocations were lost: "not revoked" from before counts no more.
    epoch: AtomicU64,
}

// === impl CachedRevocations ===

impl<S: RevocationStore> CachedRevocations<S> {
    /// A cache in front of `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            lag: DEFAULT_LAG,
            timeout: DEFAULT_STORE_TIMEOUT,
            policy: OutagePolicy::FailClosed,
            clock: Arc::new(SystemClock),
            answers: cache(DEFAULT_CAPACITY),
            fresh: MemoryRevocations::new(),
            passed_unchecked: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    /// How long "not revoked" is believed. Zero asks the store for each request.
    #[must_use]
    pub fn lag(mut self, lag: Duration) -> Self {
        self.lag = lag;
        self
    }

    /// How long the store may take to answer. Allow more where connections are made on demand, or
    /// where the store waits for a lock, as SQLite does.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What happens when it does not.
    #[must_use]
    pub fn on_outage(mut self, policy: OutagePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many tokens' answers are kept; 100,000 by default, at some 300 bytes each.
    #[must_use]
    pub fn capacity(mut self, tokens: u64) -> Self {
        self.answers = cache(tokens);
        self
    }

    /// The clock that ages are measured by.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.fresh = MemoryRevocations::with_shared_clock(Arc::clone(&self.clock));
        self
    }

    /// The store behind.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How many requests passed without an answer, under [`OutagePolicy::DangerousFailOpen`].
    #[must_use]
    pub fn passed_unchecked(&self) -> u64 {
        self.passed_unchecked.load(Ordering::Relaxed)
    }

    /// Takes in a revocation that another node made and told of: it holds here at once.
    ///
    /// It must be in the store already. It is remembered here only for as long as an older
    /// answer of the store may be believed, by the lag or by the policy.
    pub fn learn(&self, revocation: &Revocation) {
        self.fresh
            .insert(&revocation.no_longer_than(self.remembered_until(revocation)));
    }

    /// Says that revocations may have been told of in vain until now: "not revoked" from
    /// before this moment is believed no longer, and the store is asked again.
    ///
    /// [`OutagePolicy::ServeStale`] still counts from those answers: what makes pushes fail
    /// is likely to be the outage that it is meant for.
    pub fn forget_negatives(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn now(&self) -> u64 {
        unix_micros(self.clock.now())
    }

    /// Whether an answer may still be given: "revoked" always, "not revoked" for the lag and
    /// within its epoch, an outage never again.
    fn holds(&self, answer: &Answer, epoch: u64, now: u64) -> bool {
        match answer.verdict {
            Ok(true) => true,
            Ok(false) => {
                self.is_current(epoch)
                    && age(answer.asked_at, now).is_some_and(|age| age < self.lag)
            }
            Err(_) => false,
        }
    }

    /// Whether an answer is older than any that is believed, because its asker was put aside.
    fn is_late(&self, answer: &Answer) -> bool {
        let believed = self.lag.saturating_add(self.timeout);
        age(answer.asked_at, self.now()).is_some_and(|age| age > believed)
    }

    /// Until when a revocation that is known here must be remembered: as long as an answer from before
    /// may still be believed, by the lag or by the policy.
    fn remembered_until(&self, revocation: &Revocation) -> SystemTime {
        let stale = match self.policy {
            OutagePolicy::FailClosed => Duration::ZERO,
            OutagePolicy::ServeStale(max) => max,
            OutagePolicy::DangerousFailOpen => return revocation.until(),
        };
        let believed = self.lag.max(stale).saturating_add(self.timeout);
        let believed = believed.saturating_add(Duration::from_secs(1));
        self.clock
            .now()
            .checked_add(believed)
            .unwrap_or(revocation.until())
    }

    /// The slot to take the answer from: the one there is, unless its answer holds no more.
    fn slot(&self, query: &RevocationQuery<'_>) -> Arc<Slot> {
        if let Some(slot) = self.answers.get(&Question(query)) {
            let now = self.now();
            let spent = |slot: &Slot| match slot.answer.get() {
                Some(answer) => !self.holds(answer, slot.epoch, now),
                None => !self.is_current(slot.epoch),
            };
            if !spent(&slot) {
                return slot;
            }
            let replaced = self
                .answers
                .entry(query.into())
                .or_insert_with_if(|| self.new_slot(slot.last_good()), |current| spent(current));
            return replaced.into_value();
        }
        self.answers.get_with(query.into(), || self.new_slot(None))
    }

    fn new_slot(&self, last_good: Option<u64>) -> Arc<Slot> {
        Arc::new(Slot {
            answer: OnceCell::new(),
            epoch: self.epoch.load(Ordering::Acquire),
            last_good,
        })
    }

    fn is_current(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    async fn ask(&self, query: &RevocationQuery<'_>) -> Answer {
        let asked_at = self.now();
        let verdict = match tokio::time::timeout(self.timeout, self.store.is_revoked(query)).await {
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
        match tokio::time::timeout(self.timeout.max(WRITE_TIMEOUT), write).await {
            Ok(written) => written?,
            Err(_) => return Err(no_answer()),
        }
        for revocation in revocations {
            self.learn(revocation);
        }
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        if self.fresh.hits(query) {
            return Ok(true);
        }
        let slot = self.slot(query);
        // Whoever asks may have been put aside by its caller: nobody waits for it any longer than
        // for the store itself.
        let waiting = slot.answer.get_or_init(|| self.ask(query));
        let Ok(answer) = tokio::time::timeout(self.timeout, waiting).await else {
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
        let slot = self.answers.get(&Question(query))?;
        let answer = slot.answer.get()?;
        if !self.holds(answer, slot.epoch, self.now()) {
            return None;
        }
        answer.verdict.as_ref().ok().copied()
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedRevocations<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRevocations")
            .field("store", &self.store)
            .field("lag", &self.lag)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Least recently used goes first: the default admission policy drops fresh keys while old ones are hot.
fn cache(capacity: u64) -> Cache<Key, Arc<Slot>> {
    Cache::builder()
        .max_capacity(capacity)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}
