//! [`RemoteJwks`]: the keys of an identity provider, as a key source.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::absent::Absent;
use super::builder::RemoteJwksBuilder;
use super::document::RemoteKeys;
use super::fetch::{Fetcher, Memory};
use super::schedule::Schedule;
use super::worker;
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::{Changes, KeyLookup, KeySource, KeySourceHealth, KeySourceState, VerifyingKey};

/// The longest time for which a request waits for a fetch.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The most requests that wait at once. More are answered with 503.
const MAX_WAITING: usize = 1024;

/// The public keys of an identity provider, fetched and kept up to date: a [`KeySource`].
///
/// It is cheap to clone, and clones share the keys. The [module](crate::jwks) says when keys are fetched, and
/// what happens during an outage.
#[derive(Clone)]
pub struct RemoteJwks {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// The issuer, or the URL of the keys.
    name: String,
    issuer: Option<String>,
    pub(super) fetcher: Fetcher,
    /// The keys that requests read, without a lock.
    snapshot: ArcSwap<Snapshot>,
    control: Mutex<Control>,
    /// Wakes the worker.
    pub(super) wake: Arc<Notify>,
    /// Counts the completed attempts.
    attempts: watch::Sender<u64>,
    places: Semaphore,
    /// Whether a worker runs. It does not outlive the runtime in which it was started.
    pub(super) has_worker: Arc<AtomicBool>,
}

/// The keys, and until when they are used.
#[derive(Debug, Default)]
struct Snapshot {
    keys: Arc<RemoteKeys>,
    usable_until: Option<Instant>,
}

/// The state of fetches. Only fetches use it, and requests that may cause one.
struct Control {
    schedule: Schedule,
    in_flight: bool,
    wanted: bool,
    absent: Absent,
    memory: Memory,
    changes: Changes,
    last_error: Option<String>,
}

/// What to do with a token that no known key verifies.
enum Demand {
    /// Wait for a fetch that is about to begin.
    Wait(watch::Receiver<u64>),
    /// Wait for a fetch that is already running.
    Join(watch::Receiver<u64>),
    /// Refuse the token, because the keys are up to date.
    Refuse,
    /// Answer with 503, because the key might exist.
    Unavailable(AuthError),
}

// === impl RemoteJwks ===

impl RemoteJwks {
    /// Returns a builder that finds the keys of an issuer through its metadata (OpenID Connect Discovery 1.0
    /// or RFC 8414).
    ///
    /// `issuer` is the `iss` of its tokens, byte for byte, such as `https://idp.example/`.
    pub fn builder(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::discover(issuer.into())
    }

    /// Returns a builder for the keys at this URL, such as `https://idp.example/.well-known/jwks.json`,
    /// without metadata.
    pub fn builder_at(url: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::at(url.into())
    }

    pub(super) fn new(
        name: String,
        issuer: Option<String>,
        fetcher: Fetcher,
        stale_for: Duration,
    ) -> Self {
        let control = Control {
            schedule: Schedule::new(Instant::now(), stale_for),
            in_flight: false,
            wanted: false,
            absent: Absent::default(),
            memory: Memory::default(),
            changes: Changes::default(),
            last_error: None,
        };
        let this = Self {
            shared: Arc::new(Shared {
                name,
                issuer,
                fetcher,
                snapshot: ArcSwap::default(),
                control: Mutex::new(control),
                wake: Arc::new(Notify::new()),
                attempts: watch::Sender::new(0),
                places: Semaphore::new(MAX_WAITING),
                has_worker: Arc::default(),
            }),
        };
        this.ensure_worker();
        this
    }

    /// Waits until there are keys to verify with. If they cannot be fetched, it waits forever, so put a
    /// timeout around it. A service need not wait: until there are keys, it answers with 503.
    pub async fn ready(&self) {
        self.ensure_worker();
        let mut attempts = self.shared.attempts.subscribe();
        while !self.shared.state(Instant::now()).is_ready() {
            if attempts.changed().await.is_err() {
                return; // cannot happen while `self` exists
            }
        }
    }

    /// Returns the issuer that was given to [`builder`](Self::builder), or `None` if there is none.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.shared.issuer.as_deref()
    }

    /// Starts a worker if there is none, and if there is a runtime to start it in.
    fn ensure_worker(&self) {
        let has_worker = &self.shared.has_worker;
        if !has_worker.load(Ordering::Acquire)
            && let Ok(runtime) = Handle::try_current()
            && !has_worker.swap(true, Ordering::AcqRel)
        {
            worker::start(&runtime, &self.shared);
        }
    }
}

impl KeySource for RemoteJwks {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        self.ensure_worker();
        let allowed = &self.shared.fetcher.keys.algorithms;
        if !allowed.iter().any(|one| one.accepts(algorithm)) {
            return KeyLookup::UnsupportedAlgorithm;
        }
        let snapshot = self.shared.snapshot.load();
        match snapshot.usable_until {
            Some(until) if Instant::now() < until => snapshot.keys.find(key_id, algorithm),
            _ => KeyLookup::UnknownKey,
        }
    }

    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        if Handle::try_current().is_err() {
            return Err(unavailable(
                Duration::from_secs(1),
                "keys can only be fetched inside a Tokio runtime, but none is running",
            ));
        }
        self.ensure_worker();
        let before = self.shared.named(key_id, Instant::now());
        let (mut attempts, joined) = match self.shared.demand(key_id, Instant::now()) {
            Demand::Wait(attempts) => (attempts, false),
            Demand::Join(attempts) => (attempts, true),
            Demand::Refuse => return Ok(()),
            Demand::Unavailable(error) => return Err(error),
        };
        let Ok(_place) = self.shared.places.try_acquire() else {
            let why = "too many requests wait for the keys";
            return Err(unavailable(Duration::from_secs(1), why));
        };
        let waited = timeout(MAX_WAIT, attempts.changed()).await;
        let is_over = matches!(waited, Ok(Ok(())));
        self.shared
            .after_wait(key_id, &before, is_over, joined, Instant::now())
    }

    fn health(&self) -> Option<KeySourceHealth> {
        Some(self.shared.health(Instant::now()))
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, now: Instant) -> KeySourceState {
        self.control().schedule.state(now)
    }

    /// Returns the usable keys that a token with this key id can mean.
    fn named(&self, key_id: Option<&str>, now: Instant) -> Vec<VerifyingKey> {
        let snapshot = self.snapshot.load();
        match snapshot.usable_until {
            Some(until) if now < until => snapshot.keys.named(key_id).cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn demand(&self, key_id: Option<&str>, now: Instant) -> Demand {
        let mut control = self.control();
        let control = &mut *control;
        // It subscribes under the lock, so that it notices an attempt that ends from now on. A key id that
        // was not found before waits as well: if this fetch fails, nobody knows whether the key exists.
        if control.in_flight {
            return Demand::Join(self.attempts.subscribe());
        }
        if control.wanted {
            return Demand::Wait(self.attempts.subscribe());
        }
        let judged = control.can_judge(now);
        if judged && control.absent.contains(key_id, now) {
            return Demand::Refuse;
        }
        if control.schedule.may_force(now) {
            control.wanted = true;
            self.wake.notify_one();
            return Demand::Wait(self.attempts.subscribe());
        }
        if judged {
            Demand::Refuse
        } else {
            Demand::Unavailable(control.unavailable(now))
        }
    }

    /// Decides after a fetch for which a request has waited, or after the wait has timed out.
    fn after_wait(
        &self,
        key_id: Option<&str>,
        before: &[VerifyingKey],
        is_over: bool,
        joined: bool,
        now: Instant,
    ) -> Result<(), AuthError> {
        let mut control = self.control();
        let named = self.named(key_id, now);
        let is_new = |key: &VerifyingKey| !before.iter().any(|other| other.is(key));
        if named.iter().any(is_new) {
            return Ok(());
        }
        if is_over && control.can_judge(now) {
            // A known id is not marked as absent, because its key may be replaced at any time.
            if !joined && named.is_empty() {
                // A fetch that was already running may have missed the key, so it does not mark the id
                // either.
                control.absent.add(key_id, now);
            }
            return Ok(());
        }
        Err(control.unavailable(now))
    }

    fn health(&self, now: Instant) -> KeySourceHealth {
        let control = self.control();
        let snapshot = self.snapshot.load();
        let mut health = KeySourceHealth::new(&*self.name, control.schedule.state(now));
        health.keys = snapshot.keys.len();
        health.skipped = snapshot.keys.skipped;
        health
            .skipped_reasons
            .clone_from(&snapshot.keys.skipped_reasons);
        health.changed = control.changes.told(now);
        health.age = control.schedule.age(now);
        health.failures = control.schedule.failures();
        health.last_error.clone_from(&control.last_error);
        health
    }

    /// Returns when the worker must fetch without a request that needs it.
    pub(super) fn next(&self) -> Instant {
        self.control().schedule.next()
    }

    /// Fetches if it is time to, or if a request needs it.
    pub(super) async fn fetch_if_due(self: &Arc<Self>) {
        let memory = {
            let mut control = self.control();
            let now = Instant::now();
            if !control.wanted && now < control.schedule.next() {
                return;
            }
            control.wanted = false;
            control.in_flight = true;
            control.schedule.began(now);
            control.memory.clone()
        };
        let mut attempt = Attempt {
            source: self,
            is_over: false,
        };
        let known = Arc::clone(&self.snapshot.load().keys);
        let fetched = self.fetcher.fetch(&known, memory, Instant::now()).await;
        let (now, chance) = (Instant::now(), chance());
        let mut control = self.control();
        match fetched {
            Ok(fetched) => {
                control.schedule.succeeded(now, fetched.max_age, chance);
                control.memory = fetched.memory;
                control.last_error = None;
                let keys = match fetched.keys {
                    Some(keys) => Arc::new(keys),
                    None => Arc::clone(&known),
                };
                for key_id in keys.changed_since(&known) {
                    control.changes.add(&key_id, now);
                    #[cfg(feature = "tracing")]
                    tracing::warn!(
                        event = "key_changed",
                        source = self.name,
                        key_id,
                        "the provider has replaced a key by another one with the same id"
                    );
                }
                #[cfg(feature = "tracing")]
                tracing::debug!(
                    source = self.name,
                    keys = keys.len(),
                    skipped = keys.skipped,
                    "keys fetched"
                );
                self.snapshot.store(Arc::new(Snapshot {
                    keys,
                    usable_until: control.schedule.usable_until(),
                }));
            }
            Err(error) => {
                control.schedule.failed(now, chance);
                // The cached URL or `ETag` may be the reason for the failure.
                control.memory = Memory::default();
                let error = error.chain();
                #[cfg(feature = "tracing")]
                tracing::warn!(
                    source = self.name,
                    failures = control.schedule.failures(),
                    error,
                    "keys not fetched"
                );
                control.last_error = Some(error);
            }
        }
        attempt.is_over = true;
        drop(control);
        drop(attempt);
    }
}

/// An attempt in progress. However it ends, even if the runtime shuts down or the HTTP client panics, the
/// requests that wait are notified, and the next attempt waits for its pause.
struct Attempt<'a> {
    source: &'a Arc<Shared>,
    is_over: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut control = self.source.control();
        control.in_flight = false;
        if !self.is_over {
            control.schedule.failed(Instant::now(), chance());
            control.last_error = Some("the last attempt was aborted".to_owned());
        }
        drop(control);
        self.source
            .attempts
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one(); // the worker notices that the source is gone, and ends
    }
}

// === impl Control ===

impl Control {
    /// Whether the keys are recent enough to say that a key id does not exist.
    fn can_judge(&self, now: Instant) -> bool {
        self.schedule.state(now).is_ready() && self.schedule.failures() == 0
    }

    fn unavailable(&self, now: Instant) -> AuthError {
        let why = self.last_error.as_deref();
        unavailable(
            self.schedule.retry_after(now),
            why.unwrap_or("the keys have not been fetched yet"),
        )
    }
}

pub(crate) fn unavailable(retry_after: Duration, why: &str) -> AuthError {
    AuthError::new(AuthErrorKind::Unavailable)
        .with_retry_after(retry_after)
        .with_source(why.to_owned())
}

/// Returns a random number from 0 to 1, or 0.5 if the operating system provides no randomness.
pub(crate) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
