//! [`KeyRingBuilder`]: sets where the keys of a ring come from, and when they rotate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::file::KeyFile;
use super::inner::Inner;
use super::life::Life;
use super::look::Looks;
use super::problems::Problems;
use super::schedule::Schedule;
use super::snapshot::{Loaded, Snapshot};
use super::watch::Watcher;
use super::{KeyRing, check, whole_seconds};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::error::ConfigError;
use crate::keys::{Algorithm, SigningKey};

/// The default time for which a key is accepted after the next one has become active: 30 days, the lifetime
/// of refresh tokens, plus 300 seconds, the largest leeway.
pub const DEFAULT_RETIRE_FOR: Duration = Duration::from_secs(2_592_000 + 300);
/// The default time for which a key signs: 90 days, so that rotation is routine.
pub const DEFAULT_ROTATE_EVERY: Duration = Duration::from_secs(90 * 86_400);
/// The default time for which a key is published before it signs: one day, the longest time for which careful
/// verifiers cache a JWK set.
pub const DEFAULT_PUBLISH_FOR: Duration = Duration::from_secs(86_400);
/// The default interval at which the file is checked: 10 seconds. A check reads one small file.
pub const DEFAULT_CHECK_EVERY: Duration = Duration::from_secs(10);

/// Builds a [`KeyRing`]; made by [`KeyRing::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct KeyRingBuilder {
    keys: Vec<(SigningKey, Life)>,
    file: Option<PathBuf>,
    algorithm: Option<Algorithm>,
    period: Duration,
    lead: Duration,
    check_every: Duration,
    retire_for: Duration,
    clock: Arc<dyn Clock>,
}

// === impl KeyRingBuilder ===

impl KeyRingBuilder {
    pub(super) fn new() -> Self {
        Self {
            keys: Vec::new(),
            file: None,
            algorithm: None,
            period: DEFAULT_ROTATE_EVERY,
            lead: DEFAULT_PUBLISH_FOR,
            check_every: DEFAULT_CHECK_EVERY,
            retire_for: DEFAULT_RETIRE_FOR,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds a key that is active from the start, until another one becomes active.
    pub fn key(mut self, key: SigningKey) -> Self {
        self.keys.push((key, Life::ALWAYS));
        self
    }

    /// Adds a key that signs from `activates_at` on, rounded down to whole seconds.
    pub fn key_active_from(mut self, key: SigningKey, activates_at: SystemTime) -> Self {
        let from = unix_micros(activates_at) / 1_000_000;
        let life = Life {
            from,
            ..Life::ALWAYS
        };
        self.keys.push((key, life));
        self
    }

    /// Keeps the keys in this file: a JWK set (RFC 7517) of private keys. Each key may have the members
    /// `nbf`, `exp` and `iat` of OpenID Federation 1.0, in seconds since the Unix epoch:
    ///
    /// - `nbf`: when the key begins to sign. Without it, the key signs from the start.
    /// - `exp`: when the key is removed at the latest. Without it, the key is removed when it has retired.
    /// - `iat`: when the key was made. It is only informative.
    ///
    /// If a key in the file cannot be used, the whole file is refused, and the keys that were read before
    /// stay in use. The file is replaced atomically, so readers never see half of it and need no lock. A
    /// process that changes it locks `<file>.lock` in the same folder.
    ///
    /// # Security
    ///
    /// A file that other users can read, or that its group can write, is refused, because anybody with a key
    /// can issue tokens. The group may read it, which mounted secrets need. Files are written with the mode
    /// 0600.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = Some(path.as_ref().to_owned());
        self
    }

    /// Rotates the keys: adds a new key of this algorithm to the file every [90 days](Self::rotate_every),
    /// and creates the file if it is missing. Several processes that share the file may all do so; only one
    /// of them adds the key.
    ///
    /// RSA keys get 3072 bits, which takes a moment.
    pub fn auto_rotate(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets for how long each key signs: [90 days](DEFAULT_ROTATE_EVERY) by default.
    pub fn rotate_every(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Sets for how long a new key is published before it signs: [one day](DEFAULT_PUBLISH_FOR) by default.
    /// It must be longer than other services cache your JWK set, longer than
    /// [`check_every`](Self::check_every), and shorter than [`rotate_every`](Self::rotate_every).
    pub fn publish_for(mut self, lead: Duration) -> Self {
        self.lead = lead;
        self
    }

    /// Sets how often [`watch`](KeyRing::watch) checks the file: every [10 seconds](DEFAULT_CHECK_EVERY) by
    /// default.
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval;
        self
    }

    /// Sets for how long a key is accepted after the next one has become active: [30 days and 300
    /// seconds](DEFAULT_RETIRE_FOR) by default. An issuer that is built on the ring raises it to the longest
    /// lifetime of its tokens plus its leeway. If another process issues the tokens, set their lifetime here.
    pub fn retire_for(mut self, duration: Duration) -> Self {
        self.retire_for = duration;
        self
    }

    /// Sets the clock: the system clock by default. In tests, give issuers and verifiers the same one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the ring. This reads the file and adds a new key if it is time for one. If another process holds
    /// the lock for 5 seconds, a ring with usable keys starts without the new key and reports a
    /// [`problem`](KeyRing::problem).
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - there is no key, or two keys have the same id;
    /// - both keys and a file were given, or [`auto_rotate`](Self::auto_rotate) without a file;
    /// - the file cannot be used;
    /// - the ring rotates, and `publish_for` is not longer than `check_every`, or not shorter than
    ///   `rotate_every`;
    /// - `check_every` is zero.
    pub fn build(self) -> Result<KeyRing, ConfigError> {
        let invalid = |text: &str| Err(ConfigError::invalid(text));
        if self.file.is_some() != self.keys.is_empty() {
            return match self.file {
                Some(_) => {
                    invalid("a key ring takes its keys from a file or from `.key(..)`, not both")
                }
                None => Err(ConfigError::NoKeys),
            };
        }
        if self.algorithm.is_some() {
            if self.file.is_none() {
                return invalid("a key ring rotates by itself only in a file: call `.file(..)`");
            }
            if self.lead <= self.check_every || self.lead >= self.period {
                return invalid(
                    "a new key must be published for longer than `check_every`, so that every node \
                     knows it before it signs, and for less than `rotate_every`",
                );
            }
        }
        if self.check_every.is_zero() {
            return invalid(
                "`check_every` is zero: set the time between two checks of the key file, such as 10 seconds",
            );
        }
        if self.file.is_none() {
            check(self.keys.iter().map(|(key, _)| key.key_id()))?;
            let snapshot = Snapshot::new(self.keys.clone());
            return Ok(self.build_with(snapshot));
        }
        let ring = self.build_with(Snapshot::default());
        ring.inner.open()?;
        Ok(ring)
    }

    pub(super) fn build_with(self, snapshot: Snapshot) -> KeyRing {
        let schedule = self.algorithm.map(|algorithm| Schedule {
            algorithm,
            period: whole_seconds(self.period),
            lead: whole_seconds(self.lead),
        });
        KeyRing {
            inner: Arc::new(Inner {
                keys: Loaded::new(snapshot),
                clock: self.clock,
                retire_for: AtomicU64::new(whole_seconds(self.retire_for)),
                file: self.file.map(KeyFile::new),
                schedule,
                check_every: self.check_every,
                problems: Problems::default(),
                changing: Mutex::default(),
                looks: Looks::default(),
                watcher: Watcher::default(),
            }),
        }
    }
}

impl fmt::Debug for KeyRingBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingBuilder")
            .field("file", &self.file)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
