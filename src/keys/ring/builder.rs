//! [`KeyRingBuilder`]: where the keys of a ring come from, and when they change.

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

/// How long a key is accepted after the next one took over: 30 days, the lifetime of refresh tokens,
/// and 300 seconds, the largest leeway.
pub const DEFAULT_RETIRE_FOR: Duration = Duration::from_secs(2_592_000 + 300);
/// How long a key signs: 90 days, so that rotating is a habit and not an adventure.
pub const DEFAULT_ROTATE_EVERY: Duration = Duration::from_secs(90 * 86_400);
/// For how long a key is published before it signs: a day, the longest that careful verifiers keep
/// a JWK set.
pub const DEFAULT_PUBLISH_FOR: Duration = Duration::from_secs(86_400);
/// How often the file is looked at: every 10 seconds, which costs one read of a small file.
pub const DEFAULT_CHECK_EVERY: Duration = Duration::from_secs(10);

/// Builds a [`KeyRing`].
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

    /// A key that is active from the start, until another one is.
    pub fn key(mut self, key: SigningKey) -> Self {
        self.keys.push((key, Life::ALWAYS));
        self
    }

    /// A key that signs from `activates_at` on, rounded down to whole seconds.
    pub fn key_from(mut self, key: SigningKey, activates_at: SystemTime) -> Self {
        let from = unix_micros(activates_at) / 1_000_000;
        let life = Life {
            from,
            ..Life::ALWAYS
        };
        self.keys.push((key, life));
        self
    }

    /// Keeps the keys in this file: a JWK set (RFC 7517) of private keys, whose members `nbf`, `exp`
    /// and `iat` are those of OpenID Federation 1.0, in seconds since the Unix epoch:
    ///
    /// - `nbf`: when the key begins to sign; without it, from the start.
    /// - `exp`: when it is removed at the latest; without it, when it has retired.
    /// - `iat`: when it was made; for the reader.
    ///
    /// The file is taken whole or not at all: a key that cannot be used is an error, and the keys
    /// that were read before stay in use. It is replaced in one step, so nobody sees half of it and
    /// reading needs no lock. Whoever changes it locks `<file>.lock` beside it: one process at a time.
    ///
    /// # Security
    ///
    /// A file that other users of the machine may read, or its group may write, is refused: whoever
    /// has a key signs whatever they like. The group may read it, as mounted secrets need.
    /// Files are written with the mode 0600.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = Some(path.as_ref().to_owned());
        self
    }

    /// Writes a new key of this algorithm into the file in time, and creates the file if it is missing;
    /// 90 days unless [`rotate_every`](Self::rotate_every) says otherwise. Processes that share the file may all do so: one key is added.
    ///
    /// RSA keys get 3072 bits, and take a moment.
    pub fn rotate(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// How long each key signs; 90 days by default.
    pub fn rotate_every(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// For how long a new key is published before it signs; one day by default. Must be longer than
    /// others keep your JWK set, and than [`check_every`](Self::check_every).
    pub fn publish_for(mut self, lead: Duration) -> Self {
        self.lead = lead;
        self
    }

    /// How often [`watch`](KeyRing::watch) looks at the file; every 10 seconds by default.
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval;
        self
    }

    /// For how long a key is accepted after the next one took over; 30 days and 300 seconds by
    /// default. An issuer that is built on the ring raises it to the longest lifetime of its tokens
    /// and its leeway; where another process issues, say here how long its tokens live.
    pub fn retire_for(mut self, duration: Duration) -> Self {
        self.retire_for = duration;
        self
    }

    /// Reads the time from this clock. In tests give issuers and verifiers the same one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the ring. A file is read, and if a key is due written, before this returns. If another
    /// process holds the lock for 5 seconds, a ring with good keys starts without the new one and
    /// says so in [`problem`](KeyRing::problem).
    ///
    /// # Errors
    ///
    /// No key, two with one id, keys beside a file, or a schedule without one; a file that cannot
    /// be used; a time of publication that is not between the other two; no time between two looks.
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
                "`check_every` is zero: set the time between two looks at the key file, such as 10 seconds",
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
