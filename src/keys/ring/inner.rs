//! [`Inner`]: the state that the clones of a ring share. It reads and changes the file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::check;
use super::document::Document;
use super::file::KeyFile;
use super::life::{Life, Timeline};
use super::look::{Looks, MAX_WAIT};
use super::problems::{Problems, together};
use super::schedule::{KEPT_BY_HAND, Schedule, utc};
use super::snapshot::{Loaded, Snapshot};
use super::watch::Watcher;
use crate::clock::{Clock, unix_micros};
use crate::error::ConfigError;
use crate::keys::SigningKey;
use crate::secret_file::MAX_BYTES;

/// How many times a change is tried if somebody replaces the file by hand meanwhile.
const MAX_TRIES: u32 = 3;

pub(super) struct Inner {
    pub(super) keys: Loaded,
    pub(super) clock: Arc<dyn Clock>,
    /// In seconds. Issuers can raise it.
    pub(super) retire_for: AtomicU64,
    pub(super) file: Option<KeyFile>,
    pub(super) schedule: Option<Schedule>,
    /// How often the file is checked.
    pub(super) check_every: Duration,
    pub(super) problems: Problems,
    /// Held while a ring in memory is changed. A ring in a file uses the lock of the file.
    pub(super) changing: Mutex<()>,
    pub(super) looks: Looks,
    pub(super) watcher: Watcher,
}

/// Whether keys that are no longer needed are dropped from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forget {
    Yes,
    /// Keep them, because an issuer that is about to be built may need keys for longer.
    NotYet,
}

// === impl Inner ===

impl Inner {
    pub(super) fn now(&self) -> u64 {
        unix_micros(self.clock.now()) / 1_000_000
    }

    pub(super) fn timeline<'s>(&self, snapshot: &'s Snapshot) -> Timeline<'s> {
        Timeline::new(&snapshot.lives, self.retire_for())
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire_for(&self) -> u64 {
        self.retire_for.load(Ordering::Relaxed)
    }

    fn has_keys(&self) -> bool {
        !self.keys.load().keys.is_empty()
    }

    /// Returns how many keys must have been added after a removed one before that is dropped from the file.
    fn keys_kept(&self) -> usize {
        match self.schedule {
            Some(schedule) => schedule.keys_kept(self.retire_for()),
            None => KEPT_BY_HAND,
        }
    }

    /// Returns everything that is wrong now.
    pub(super) fn problem(&self) -> Option<ConfigError> {
        let all = [
            self.reading_problem(),
            self.problems.changing(),
            self.clock_problem(),
        ];
        together(all.into_iter().flatten())
    }

    /// Returns why the file cannot be read, if it cannot.
    pub(super) fn reading_problem(&self) -> Option<ConfigError> {
        match &self.file {
            Some(file) if self.looks.hang() => Some(file.does_not_answer(MAX_WAIT)),
            _ => self.problems.reading(),
        }
    }

    /// Returns an error if a clock is wrong: that of this node, or of a node that has added a key.
    fn clock_problem(&self) -> Option<ConfigError> {
        let (schedule, snapshot, now) = (self.schedule?, self.keys.load(), self.now());
        let keys = snapshot.keys.iter().zip(&snapshot.lives);
        let far = keys.filter(|(_, life)| schedule.is_far(**life, now));
        together(far.map(|(key, life)| {
            ConfigError::Invalid(format!(
                "the key `{}` does not sign before {}, which is further ahead than the schedule plans, so a \
                 clock is or was wrong. Check the clock of this node first. If it is right, remove the key \
                 (`KeyRing::remove`), or let it sign from now on (`KeyRing::activate`). Until then, the \
                 schedule ignores this key",
                key.key_id().escape_default(),
                utc(life.from),
            ))
        }))
    }

    /// Logs what is wrong now, if that has changed.
    pub(super) fn log(&self) {
        #[cfg(feature = "tracing")]
        self.problems.log(self.problem().as_ref());
    }

    /// Reads the file and records whether that succeeded. Returns whether the file has changed.
    pub(super) fn reload(&self) -> Result<bool, ConfigError> {
        let result = self.read();
        self.problems.set_reading(&result);
        self.log();
        result
    }

    fn read(&self) -> Result<bool, ConfigError> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let read = || {
            let text = file.read()?;
            let digest = super::super::digest(text.as_bytes());
            Ok((text, digest))
        };
        self.keys.look(read, |text, digest| {
            Ok(Document::parse(file, &text)?.snapshot(digest))
        })
    }

    /// Reads the file for the first time, and creates it if it is missing.
    pub(super) fn open(&self) -> Result<(), ConfigError> {
        if self.must_exist() {
            self.read()?;
        }
        let rotated = self.rotate(Forget::NotYet);
        match (&rotated, &self.file) {
            // The keys are usable: another process that hangs must not keep this one from starting.
            (Err(error), Some(file)) if self.has_active() && *error == file.is_held() => {
                self.problems.set_changing(&rotated);
                self.log();
                Ok(())
            }
            _ => rotated,
        }
    }

    /// Reads the file, and adds and drops the keys for which it is time.
    pub(super) fn maintain(&self) -> Result<(), ConfigError> {
        if self.must_exist() {
            self.reload()?;
        }
        self.keep_schedule()
    }

    /// Adds and drops the keys for which it is time, and records whether that succeeded.
    pub(super) fn keep_schedule(&self) -> Result<(), ConfigError> {
        let result = self.rotate(Forget::Yes);
        self.problems.set_changing(&result);
        self.log();
        result
    }

    /// Whether a missing file is an error. It is not if the ring is new and creates its file.
    fn must_exist(&self) -> bool {
        let is_there = |file: &KeyFile| file.exists();
        self.schedule.is_none() || self.has_keys() || self.file.as_ref().is_none_or(is_there)
    }

    fn has_active(&self) -> bool {
        let snapshot = self.keys.load();
        self.timeline(&snapshot).active(self.now()).is_some()
    }

    /// Whether it is time to add or to drop a key, as far as is known.
    pub(super) fn is_due(&self, forget: Forget) -> bool {
        let Some(schedule) = self.schedule else {
            return false;
        };
        let (snapshot, now) = (self.keys.load(), self.now());
        let (timeline, kept) = (self.timeline(&snapshot), self.keys_kept());
        let mut indexes = 0..snapshot.lives.len();
        schedule.next_key(&snapshot.lives, now).is_some()
            || forget == Forget::Yes && indexes.any(|index| timeline.is_forgotten(index, now, kept))
    }

    fn rotate(&self, forget: Forget) -> Result<(), ConfigError> {
        let (Some(file), Some(schedule)) = (&self.file, self.schedule) else {
            return Ok(());
        };
        if !self.is_due(forget) {
            return Ok(());
        }
        let next = |lives: &[Life]| schedule.next_key(lives, self.now());
        let mut fresh = None;
        if next(&self.keys.load().lives).is_some() {
            // Generating an RSA key takes seconds. That is done without the lock, so that others do not wait
            // for it, but only after checking that the lock is available.
            drop(file.lock()?);
            fresh = Some(SigningKey::generate_jwk(schedule.algorithm)?);
        }
        // Another process may have added one meanwhile.
        self.change_file(file, forget, |document| {
            match (next(&document.lives()), &fresh) {
                (Some(from), Some(fresh)) => document.push(fresh, from, self.now()),
                _ => Ok(()),
            }
        })
    }

    /// Changes the current content of the file, which another process may have written.
    pub(super) fn change_file(
        &self,
        file: &KeyFile,
        forget: Forget,
        change: impl Fn(&mut Document) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let _lock = file.lock()?;
        for _ in 0..MAX_TRIES {
            let is_new = self.schedule.is_some() && !self.has_keys() && !file.exists();
            let (before, mut document) = if is_new {
                (None, Document::default())
            } else {
                let text = file.read()?;
                let document = Document::parse(file, &text)?;
                (Some(text), document)
            };
            if forget == Forget::Yes {
                self.forget(&mut document, self.keys_kept());
            }
            change(&mut document)?;
            check(document.key_ids())?;
            let mut text = document.text();
            if text.len() > MAX_BYTES && forget == Forget::Yes {
                // Makes room by dropping keys that only a wrong clock could need.
                self.forget(&mut document, 1);
                text = document.text();
            }
            if text.len() > MAX_BYTES {
                return Err(file.wrong(
                    "would become larger than 1 MiB, which is more than can be read: remove keys that are no \
                     longer needed, or rotate less often",
                ));
            }
            if file.replace(before.as_ref().map(|text| text.as_str()), &text)? {
                // Somebody may have replaced the file since, by hand and without the lock. So it is read
                // again, and what is in it now counts.
                return self.read().map(drop);
            }
        }
        Err(file
            .wrong("was replaced by somebody else each time that it was to be changed: try again"))
    }

    fn forget(&self, document: &mut Document, younger: usize) {
        let (retire_for, now) = (self.retire_for(), self.now());
        document.forget(|lives, index| {
            Timeline::new(lives, retire_for).is_forgotten(index, now, younger)
        });
    }
}
