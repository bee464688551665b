//! [`KeyRing`]: the keys of an issuer over time, each in the state that follows from the clock.

mod builder;
mod document;
mod file;
mod inner;
mod life;
mod look;
mod problems;
mod schedule;
mod snapshot;
mod watch;

pub use builder::{
    DEFAULT_CHECK_EVERY, DEFAULT_PUBLISH_FOR, DEFAULT_RETIRE_FOR, DEFAULT_ROTATE_EVERY,
    KeyRingBuilder,
};
pub use life::KeyState;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::health::{KeySourceHealth, KeySourceState};
use super::set::{KeyLookup, KeySet, KeySource, find_among};
use super::signing::SigningKey;
use crate::clock::unix_micros;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::keys::Algorithm;
use document::Document;
use inner::{Forget, Inner};
use life::Life;
use snapshot::Snapshot;

/// Rotating keys: the active key signs, and the others are accepted for as long as they are needed.
///
/// Each key has a time from which on it signs. Its state follows from these times and the clock alone, so
/// that several nodes with the same keys agree without communication:
///
/// - [`Standby`](KeyState::Standby) before its time: it is already published and accepted.
/// - [`Active`](KeyState::Active) from its time until the time of the next key: it signs.
/// - [`Retiring`](KeyState::Retiring) after that: it is accepted until its last token has expired, for
///   [30 days and 300 seconds](DEFAULT_RETIRE_FOR) by [default](KeyRingBuilder::retire_for).
/// - [`Removed`](KeyState::Removed) in the end, or at once by [`remove`](Self::remove).
///
/// Give the ring to [`TokenIssuer::builder`](crate::TokenIssuer::builder), whose verifiers follow it, or to
/// [`TokenVerifierBuilder::key_source`](crate::verifier::TokenVerifierBuilder::key_source). It is cheap to
/// clone, and clones share their keys. Readers take no lock. [The guide](crate::guide::keys) shows how to
/// rotate keys.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::{Algorithm, KeyRing, SigningKey, TokenIssuer};
/// use tower_jwt_auth::clock::{Clock, ManualClock};
/// use tower_jwt_auth::keys::KeyState;
///
/// let clock = ManualClock::at_now();
/// let old = SigningKey::generate(Algorithm::EdDSA)?;
/// let ring = KeyRing::builder().key(old.clone()).clock(clock.clone()).build()?;
/// let tokens = TokenIssuer::builder(ring.clone())
///     .issuer("me").audience("api").clock(clock.clone()).build()?;
/// let by_old = tokens.access("alice").issue()?;
///
/// let hour = Duration::from_secs(3600);
/// let new = SigningKey::generate(Algorithm::EdDSA)?;
/// ring.add(&new, clock.now() + hour)?; // published now, signs in an hour
/// assert_eq!(ring.signing_key()?.key_id(), old.key_id());
///
/// clock.advance(hour);
/// assert_eq!(ring.signing_key()?.key_id(), new.key_id());
/// let states: Vec<_> = ring.keys().iter().map(|key| key.state).collect();
/// assert_eq!(states, [KeyState::Active, KeyState::Retiring]);
///
/// ring.remove(old.key_id())?; // it was stolen: whatever it signed is refused from now on
/// assert!(tokens.verifier().verify_local(&by_old).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    inner: Arc<Inner>,
}

/// The state of one key of a [`KeyRing`], for health endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The id of the key (`kid`).
    pub key_id: String,
    /// The algorithm with which the key signs.
    pub algorithm: Algorithm,
    /// The current state of the key.
    pub state: KeyState,
    /// The time since which the key is in this state. It is `None` for a key on standby, and for one that was
    /// active from the start.
    pub since: Option<SystemTime>,
    /// The time at which the state ends, if that is known.
    pub until: Option<SystemTime>,
}

// === impl KeyRing ===

impl KeyRing {
    /// Makes a ring in memory with one key, which is active from the start.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self::builder().build_with(Snapshot::new(vec![(key, Life::ALWAYS)]))
    }

    /// Reads a ring from a file, with the defaults of [`builder`](Self::builder). See
    /// [`KeyRingBuilder::file`] for the format. Call [`watch`](Self::watch) to follow changes of the file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, if other users can read it, or if it is not a set of private keys.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::builder().file(path).build()
    }

    /// Returns a builder, for a ring with several keys, a schedule or other settings.
    pub fn builder() -> KeyRingBuilder {
        KeyRingBuilder::new()
    }

    /// Returns the key that signs now.
    ///
    /// # Errors
    ///
    /// Fails with [`Internal`](AuthErrorKind::Internal) if every key has reached its `exp` in the file.
    pub fn signing_key(&self) -> Result<SigningKey, AuthError> {
        let snapshot = self.inner.keys.load();
        let active = self.inner.timeline(&snapshot).active(self.inner.now());
        active
            .map(|index| snapshot.keys[index].clone())
            .ok_or_else(|| {
                AuthError::new(AuthErrorKind::Internal)
                    .because("every key of the ring has expired: add one")
            })
    }

    /// Returns the keys that are accepted now, which are also those that a JWK set publishes: the active one
    /// first, then those on standby, then those that retire.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        let (snapshot, now) = (self.inner.keys.load(), self.inner.now());
        let timeline = self.inner.timeline(&snapshot);
        let keys = snapshot.keys.iter().enumerate();
        let mut keys: Vec<_> = keys
            .map(|(index, key)| (timeline.state(index, now), key))
            .filter(|(state, _)| *state != KeyState::Removed)
            .collect();
        keys.sort_by_key(|(state, _)| *state);
        KeySet::of(keys.iter().map(|(_, key)| key.verifying_key()).collect())
    }

    /// Returns every key with its state, the active one first. Removed keys are included for as long as they
    /// are kept.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyStatus> {
        let (snapshot, now) = (self.inner.keys.load(), self.inner.now());
        let timeline = self.inner.timeline(&snapshot);
        let told = |seconds: Option<u64>| {
            let seconds = seconds.filter(|seconds| *seconds > 0)?;
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
        };
        let keys = snapshot.keys.iter().enumerate();
        let mut keys: Vec<_> = keys
            .map(|(index, key)| KeyStatus {
                key_id: key.key_id().to_owned(),
                algorithm: key.algorithm(),
                state: timeline.state(index, now),
                since: told(timeline.since(index, now)),
                until: told(timeline.until(index, now)),
            })
            .collect();
        keys.sort_by_key(|key| key.state);
        keys
    }

    /// Returns what is wrong with the ring, or `None` if all is well. The keys that were read before stay in
    /// use.
    ///
    /// There is a problem if
    ///
    /// - the file cannot be read, or reading it takes longer than 5 seconds;
    /// - it is time to add a key, but the file cannot be written, for example because another process holds
    ///   the lock;
    /// - a key begins to sign much later than the schedule plans ahead, because the clock of this node, or of
    ///   the node that added the key, is or was wrong. Rotation ignores that key.
    #[must_use]
    pub fn problem(&self) -> Option<ConfigError> {
        self.inner.problem()
    }

    /// Adds a key. It is accepted from now on, and signs from `activates_at` on, rounded down to whole
    /// seconds. Choose a time before which other services have fetched your JWK set again.
    ///
    /// If the ring is in a file, this and the other changes are written to the file. They wait for the disk,
    /// and up to 5 seconds for another process that changes the file. In async code, call them in
    /// [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// # Errors
    ///
    /// Fails if there is already a key with this id, or if the file cannot be written, for example because
    /// another process does not release its lock. It also fails if an HMAC key is to be added to a file,
    /// because such a key does not return its secret: write it into the file yourself.
    pub fn add(&self, key: &SigningKey, activates_at: SystemTime) -> Result<(), ConfigError> {
        let from = unix_micros(activates_at) / 1_000_000;
        self.change(
            |keys| {
                let life = Life {
                    from,
                    ..Life::ALWAYS
                };
                keys.push((key.clone(), life));
                Ok(())
            },
            |document| document.add(key, from, self.inner.now()),
        )
    }

    /// Makes a key the active one from now on. It may be on standby or retiring.
    ///
    /// # Errors
    ///
    /// Fails if there is no such key, or if the file cannot be written.
    pub fn activate(&self, key_id: &str) -> Result<(), ConfigError> {
        let from = self.inner.now();
        self.change(
            |keys| {
                // Of several keys with the same time, the last one signs.
                let (key, life) = keys.remove(place(keys, key_id)?);
                keys.push((key, Life { from, ..life }));
                Ok(())
            },
            |document| document.activate(key_id, from),
        )
    }

    /// Removes a key at once, for example because it was stolen. Every token that it has signed is refused
    /// from then on. If it was active, the key before it signs again or, if there is none, the next one.
    ///
    /// Other nodes that share the file and [`watch`](Self::watch) it notice within
    /// [`check_every`](KeyRingBuilder::check_every). Nodes that do not watch it notice when they are
    /// restarted, and services that use your JWK set when they fetch it again.
    ///
    /// # Errors
    ///
    /// Fails if there is no such key, if it is the only one (add another first), or if the file cannot be
    /// written.
    pub fn remove(&self, key_id: &str) -> Result<(), ConfigError> {
        self.change(
            |keys| {
                keys.remove(place(keys, key_id)?);
                Ok(())
            },
            |document| document.remove(key_id),
        )
    }

    /// Reads the file now, if there is one. Returns whether it has changed. It does not wait for the lock.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`from_file`](Self::from_file). The keys that were read before stay in use.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        self.inner.reload()
    }

    /// Reads the file and, if the ring [rotates](KeyRingBuilder::auto_rotate), adds a key if it is time to,
    /// and drops keys that are no longer needed. [`watch`](Self::watch) does this regularly.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`reload`](Self::reload), and if the file cannot be written, for example
    /// because another process does not release its lock within 5 seconds.
    pub fn maintain(&self) -> Result<(), ConfigError> {
        self.inner.maintain()
    }

    /// Follows the file in the background, on the current Tokio runtime, until the last clone of the ring is
    /// dropped. Does nothing for a ring in memory, or if the ring is already watched.
    ///
    /// Errors are reported by [`problem`](Self::problem), and logged as warnings with the feature `tracing`.
    ///
    /// # Errors
    ///
    /// Fails if it is called outside of a Tokio runtime.
    pub fn watch(&self) -> Result<(), ConfigError> {
        match &self.inner.file {
            Some(_) => watch::start(&self.inner),
            None => Ok(()),
        }
    }

    /// Returns for how long a new key is published before it signs, if the ring rotates.
    pub(crate) fn publish_for(&self) -> Option<Duration> {
        let schedule = self.inner.schedule.as_ref()?;
        Some(Duration::from_secs(schedule.lead))
    }

    /// Makes keys retire for at least this long.
    pub(crate) fn retire_for_at_least(&self, duration: Duration) {
        let seconds = whole_seconds(duration);
        self.inner.retire_for.fetch_max(seconds, Ordering::Relaxed);
    }

    fn change(
        &self,
        in_memory: impl FnOnce(&mut Vec<(SigningKey, Life)>) -> Result<(), ConfigError>,
        in_file: impl Fn(&mut Document) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if let Some(file) = &self.inner.file {
            return self.inner.change_file(file, Forget::Yes, in_file);
        }
        let _changing = self.inner.changing();
        let snapshot = self.inner.keys.load();
        let (timeline, now) = (self.inner.timeline(&snapshot), self.inner.now());
        let mut keys: Vec<_> = (0..snapshot.keys.len())
            .filter(|index| !timeline.is_forgotten(*index, now, 0))
            .map(|index| (snapshot.keys[index].clone(), snapshot.lives[index]))
            .collect();
        in_memory(&mut keys)?;
        check(keys.iter().map(|(key, _)| key.key_id()))?;
        let keys_now = &self.inner.keys;
        keys_now.keep(keys_now.begin(), Snapshot::new(keys));
        Ok(())
    }
}

impl KeySource for KeyRing {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        let (snapshot, now) = (self.inner.keys.load(), self.inner.now());
        let timeline = self.inner.timeline(&snapshot);
        let keys = snapshot.keys.iter().enumerate();
        let accepted = keys
            .filter(|(index, _)| timeline.state(*index, now) != KeyState::Removed)
            .map(|(_, key)| key.verifying());
        find_among(accepted, key_id, algorithm)
    }

    /// Checks the file: another node may have just added the key, or somebody has replaced it by one with the
    /// same id. For known keys, it does so at most once per second.
    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        if self.inner.file.is_none() {
            return Ok(());
        }
        let keys = self.inner.keys.load();
        let is_known = keys.keys.iter().any(|key| Some(key.key_id()) == key_id);
        drop(keys);
        look::look_now(&self.inner, is_known).await
    }

    /// Returns `None` for a ring in memory.
    fn health(&self) -> Option<KeySourceHealth> {
        self.inner.file.as_ref()?;
        let problem = self.problem();
        let state = match (self.signing_key(), &problem) {
            (Err(_), _) => KeySourceState::Expired,
            (Ok(_), Some(_)) => KeySourceState::Stale,
            (Ok(_), None) => KeySourceState::Fresh,
        };
        let mut health = KeySourceHealth::new("key ring", state);
        health.keys = self.key_set().len();
        health.changed = self.inner.keys.changes();
        health.last_error = problem.map(|problem| problem.to_string());
        Some(health)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.inner.keys.load().keys)
            .field("file", &self.inner.file)
            .finish_non_exhaustive()
    }
}

/// Returns the index of a key in a list.
fn place(keys: &[(SigningKey, Life)], key_id: &str) -> Result<usize, ConfigError> {
    let mut keys = keys.iter().map(|(key, _)| key);
    keys.position(|key| key.key_id() == key_id)
        .ok_or_else(|| no_such_key(key_id))
}

fn no_such_key(key_id: &str) -> ConfigError {
    let shown: String = key_id.escape_default().take(64).collect();
    ConfigError::Invalid(format!(
        "there is no key `{shown}` in the ring: `KeyRing::keys` lists those that exist"
    ))
}

/// Checks that there is a key, and that no two keys have the same id.
fn check<'k>(key_ids: impl Iterator<Item = &'k str>) -> Result<(), ConfigError> {
    let mut seen = Vec::new();
    for key_id in key_ids {
        if seen.contains(&key_id) {
            return Err(ConfigError::DuplicateKeyId(key_id.to_owned()));
        }
        seen.push(key_id);
    }
    match seen.is_empty() {
        true => Err(ConfigError::NoKeys),
        false => Ok(()),
    }
}

/// Returns the duration in seconds, rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(more)
}
