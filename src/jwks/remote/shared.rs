//! [`Shared`]: what the requests and the worker of one key source share: the keys, and the state of fetches.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::absent::Absent;
use super::document::RemoteKeys;
use super::fetch::{Fetcher, Memory};
use super::schedule::Schedule;
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::{Changes, KeySourceHealth, KeySourceState, VerifyingKey};

/// The most requests that wait at once. More are answered with 503.
const MAX_WAITING: usize = 1024;

pub(super) struct Shared {
    /// The issuer, or the URL of the keys.
    pub(super) name: String,
    pub(super) issuer: Option<String>,
    pub(super) fetcher: Fetcher,
    /// The keys that requests read, without a lock.
    pub(super) snapshot: ArcSwap<Snapshot>,
    control: Mutex<Control>,
    /// Wakes the worker.
    pub(super) wake: Arc<Notify>,
    /// Counts the completed attempts.
    pub(super) attempts: watch::Sender<u64>,
    pub(super) places: Semaphore,
    /// Whether a worker runs. It does not outlive the runtime in which it was started.
    pub(super) has_worker: Arc<AtomicBool>,
}

/// The keys, and until when they are used.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) keys: Arc<RemoteKeys>,
    pub(super) usable_until: Option<Instant>,
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
pub(super) enum Demand {
    /// Wait for a fetch that is about to begin.
    Wait(watch::Receiver<u64>),
    /// Wait for a fetch that is already running.
    Join(watch::Receiver<u64>),
    /// Refuse the token, because the keys are up to date.
    Refuse,
    /// Answer with 503, because the key might exist.
    Unavailable(AuthError),
}

// === impl Shared ===

impl Shared {
    /// Makes a source without keys, whose first fetch is due.
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
        Self {
            name,
            issuer,
            fetcher,
            snapshot: ArcSwap::default(),
            control: Mutex::new(control),
            wake: Arc::new(Notify::new()),
            attempts: watch::Sender::new(0),
            places: Semaphore::new(MAX_WAITING),
            has_worker: Arc::default(),
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, now: Instant) -> KeySourceState {
        self.control().schedule.state(now)
    }

    /// Returns the usable keys that a token with this key id can mean.
    pub(super) fn named(&self, key_id: Option<&str>, now: Instant) -> Vec<VerifyingKey> {
        let snapshot = self.snapshot.load();
        match snapshot.usable_until {
            Some(until) if now < until => snapshot.keys.named(key_id).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Decides what a token has to do that no known key verifies.
    pub(super) fn demand(&self, key_id: Option<&str>, now: Instant) -> Demand {
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
    pub(super) fn after_wait(
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

    pub(super) fn health(&self, now: Instant) -> KeySourceHealth {
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
