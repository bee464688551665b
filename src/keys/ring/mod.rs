//! [`KeyRing`]: the keys of an issuer over time, each in the state that the clock says.

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

/// Keys that take turns: the active one signs, the others are accepted as long as they are needed.
///
/// Each key has a time from which on it signs. What state it is in follows from these times and
/// the clock alone, so that several nodes with the same keys agree without a word:
///
/// - [`Standby`](KeyState::Standby) before its time: published and accepted already.
/// - [`Active`](KeyState::Active) from its time on, until the next key's time: it signs.
/// - [`Retiring`](KeyState::Retiring) then: accepted until the last token that it signed is over,
///   for [30 days and 300 seconds](DEFAULT_RETIRE_FOR) unless [said otherwise](KeyRingBuilder::retire_for).
/// - [`Removed`](KeyState::Removed) after that, or at once by [`remove`](Self::remove).
///
/// Give it to [`TokenIssuer::builder`](crate::TokenIssuer::builder), whose verifiers follow it, or to
/// [`TokenVerifierBuilder::source`](crate::verifier::TokenVerifierBuilder::source). Cheap to clone:
/// clones are one ring. Readers take no lock.
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

/// One key of a [`KeyRing`] and where it stands, for health pages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The `kid`.
    pub key_id: String,
    /// The algorithm that it signs with.
    pub algorithm: Algorithm,
    /// Its state now.
    pub state: KeyState,
    /// Since when it is in this state; none for a key that waits, or that was always active.
    pub since: Option<SystemTime>,
    /// When the state ends, if that is known.
    pub until: Option<SystemTime>,
}

// === impl KeyRing ===

impl KeyRing {
    /// A ring of one key that is active from the start, kept in memory.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self::builder().build_with(Snapshot::new(vec![(key, Life::ALWAYS)]))
    }

    /// The ring that is kept in a file, with the defaults of [`builder`](Self::builder); see
    /// [`KeyRingBuilder::file`] for what the file holds. Call [`watch`](Self::watch) to follow it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, others may read it, or it is no set of private keys.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::builder().file(path).build()
    }

    /// Starts a ring.
    pub fn builder() -> KeyRingBuilder {
        KeyRingBuilder::new()
    }

    /// The key that signs now.
    ///
    /// # Errors
    ///
    /// [`Internal`](AuthErrorKind::Internal): every key has reached the `exp` that its file gives it.
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

    /// The keys that are accepted now, the active one first, then those that wait: what a JWK set
    /// shows of the ring.
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

    /// Every key and its state, the active one first; removed ones as long as they are kept.
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

    /// What is wrong with the ring; `None` if all is well. The keys that were read before stay in use.
    ///
    /// - The file cannot be read, or reading it takes longer than 5 seconds.
    /// - It is time to add a key, and the file cannot be written: another process holds the lock, say.
    /// - A key begins to sign much later than the schedule plans ahead, because this node's clock is
    ///   wrong or that of the node that added it was. Rotation goes on without that key.
    #[must_use]
    pub fn problem(&self) -> Option<ConfigError> {
        self.inner.problem()
    }

    /// Adds a key that is accepted from now on and signs from `activates_at` on, rounded down to whole
    /// seconds so that now is now. Give those who hold your JWK set the time to fetch it again.
    ///
    /// Where the ring is in a file, this and the other changes are written to it. That waits for the
    /// disk, and up to 5 seconds for another process that changes the file: in async code call it in
    /// [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// # Errors
    ///
    /// A key of this id is there already, or the file cannot be written, also because another process
    /// does not let go of its lock; the secret of an HMAC key cannot be taken out of it: write that
    /// into the file yourself.
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

    /// Lets a key sign from now on, one that waits or one that retires.
    ///
    /// # Errors
    ///
    /// There is no such key, or the file cannot be written.
    pub fn activate(&self, key_id: &str) -> Result<(), ConfigError> {
        let from = self.inner.now();
        self.change(
            |keys| {
                // The last of those with one time is the one that signs.
                let (key, life) = keys.remove(place(keys, key_id)?);
                keys.push((key, Life { from, ..life }));
                Ok(())
            },
            |document| document.activate(key_id, from),
        )
    }

    /// Takes a key out at once: for one that others may have. Every token that it signed is refused
    /// from then on. If it was the active one, the one before signs again, or else the next.
    ///
    /// Other nodes that share the file and [`watch`](Self::watch) it learn of it within
    /// [`check_every`](KeyRingBuilder::check_every); those that do not, when they are restarted; those who hold your JWK set, when they fetch it again.
    ///
    /// # Errors
    ///
    /// There is no such key, it is the only one (add another first), or the file cannot be written.
    pub fn remove(&self, key_id: &str) -> Result<(), ConfigError> {
        self.change(
            |keys| {
                keys.remove(place(keys, key_id)?);
                Ok(())
            },
            |document| document.remove(key_id),
        )
    }

    /// Reads the file now, if there is one. Returns whether it has changed. Waits for no lock.
    ///
    /// # Errors
    ///
    /// What [`from_file`](Self::from_file) reports. The keys that were read before stay in use.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        self.inner.reload()
    }

    /// Reads the file and, with a [schedule](KeyRingBuilder::rotate_every), adds the key that is due
    /// and drops those that nobody needs any more. [`watch`](Self::watch) does this.
    ///
    /// # Errors
    ///
    /// As [`reload`](Self::reload), or the file cannot be written, also because another process does
    /// not let go of its lock within 5 seconds.
    pub fn maintain(&self) -> Result<(), ConfigError> {
        self.inner.maintain()
    }

    /// Follows the file in the background, on the tokio runtime that this is called in, until the last
    /// clone of the ring is dropped. Does nothing for a ring in memory, or where it is watched already.
    ///
    /// What goes wrong shows in [`problem`](Self::problem), and as a warning with the feature `tracing`.
    ///
    /// # Errors
    ///
    /// It is not called inside a tokio runtime.
    pub fn watch(&self) -> Result<(), ConfigError> {
        match &self.inner.file {
            Some(_) => watch::start(&self.inner),
            None => Ok(()),
        }
    }

    /// For how long a new key is published before it signs, where a schedule says so.
    pub(crate) fn publish_for(&self) -> Option<Duration> {
        let schedule = self.inner.schedule.as_ref()?;
        Some(Duration::from_secs(schedule.lead))
    }

    /// Lets keys retire for at least this long.
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

    /// A node that shares the file may have added the key a moment ago, or somebody has replaced it
    /// under its id: looks. For the tokens of keys that are known, at most once in a second.
    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        if self.inner.file.is_none() {
            return Ok(());
        }
        let keys = self.inner.keys.load();
        let is_known = keys.keys.iter().any(|key| Some(key.key_id()) == key_id);
        drop(keys);
        look::look_now(&self.inner, is_known).await
    }

    /// A ring in memory has nothing to tell.
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

/// Where a key stands in a list.
fn place(keys: &[(SigningKey, Life)], key_id: &str) -> Result<usize, ConfigError> {
    let mut keys = keys.iter().map(|(key, _)| key);
    keys.position(|key| key.key_id() == key_id)
        .ok_or_else(|| no_such_key(key_id))
}

fn no_such_key(key_id: &str) -> ConfigError {
    let shown: String = key_id.escape_default().take(64).collect();
    ConfigError::Invalid(format!(
        "there is no key `{shown}` in the ring: `KeyRing::keys` lists those that are"
    ))
}

/// A ring has a key, and each key an id of its own.
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

/// Rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(more)
}
