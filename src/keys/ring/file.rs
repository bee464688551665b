//! The file of a ring on the disk: read without a lock, changed under one, replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fs4::TryLockError;
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::secret_file::{self, Content};

/// How long a change waits for the lock. To change a file takes a fraction of a second.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long a change waits before it tries again.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Where a ring is kept.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

// === impl KeyFile ===

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn exists(&self) -> bool {
        // What cannot be looked at is reported by whoever reads it.
        self.path.try_exists().unwrap_or(true)
    }

    pub(super) fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        let text = secret_file::read(&self.path, Content::Secret);
        text.map_err(|error| self.wrong(&error.to_string()))
    }

    /// Keeps other processes from changing the file until the lock is dropped. Readers need no lock,
    /// as the file is replaced in one step.
    ///
    /// Waits for a process that changes the file already, and not for one that hangs.
    pub(super) fn lock(&self) -> Result<File, ConfigError> {
        // Not the file itself: that one is replaced.
        let path = self.lock_path();
        let failed = |error: &io::Error| self.failed("be locked", error);
        let lock = private(OpenOptions::new().write(true).create(true), &path);
        let lock = lock.map_err(|error| failed(&error))?;
        let asked = Instant::now();
        loop {
            match fs4::FileExt::try_lock(&lock) {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(failed(&error));
                }
                Err(_) if asked.elapsed() >= MAX_LOCK_WAIT => return Err(self.is_held()),
                // Whoever calls this may wait for the disk, and waits on no async worker.
                #[allow(clippy::disallowed_methods)]
                Err(_) => thread::sleep(LOCK_PAUSE),
            }
        }
    }

    /// What is wrong where another process does not let go of the lock.
    pub(super) fn is_held(&self) -> ConfigError {
        let (path, lock) = (self.path.display(), self.lock_path());
        let (lock, seconds) = (lock.display(), MAX_LOCK_WAIT.as_secs());
        ConfigError::Invalid(format!(
            "the key file {path} cannot be changed: another process has held its lock {lock} for \
             {seconds} seconds; if that process hangs, end it (`fuser {lock}` shows its id)"
        ))
    }

    /// What is wrong where reading the file does not end.
    pub(super) fn does_not_answer(&self, waited: Duration) -> ConfigError {
        ConfigError::Invalid(format!(
            "the key file {} cannot be read: the disk has not answered for {} seconds; check the disk \
             or the network mount that holds it",
            self.path.display(),
            waited.as_secs()
        ))
    }

    /// Replaces the file in one step, and returns once the new one will outlast a crash. Returns
    /// `false`, and changes nothing, if the file is not the one with the text `before` any more.
    ///
    /// Somebody who replaces the file by hand takes no lock. If this process hung meanwhile, its text
    /// would bring back what they took out.
    pub(super) fn replace(&self, before: Option<&str>, text: &str) -> Result<bool, ConfigError> {
        let fresh = self.beside(&format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&fresh); // left by a process of the same number; the lock is ours
        let written = private(OpenOptions::new().write(true).create_new(true), &fresh);
        let written = written.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let replaced = written
            .map_err(|error| self.failed("be written", &error))
            .and_then(|()| {
                let is_same = match before {
                    Some(before) => *self.read()? == before,
                    None => !self.exists(),
                };
                if is_same {
                    let moved = self.rename_over(&fresh);
                    moved.map_err(|error| self.failed("be written", &error))?;
                }
                Ok(is_same)
            });
        if !matches!(replaced, Ok(true)) {
            let _ = fs::remove_file(&fresh);
        }
        replaced
    }

    fn rename_over(&self, fresh: &Path) -> io::Result<()> {
        // A link stays a link.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        fs::rename(fresh, &target)?;
        #[cfg(unix)]
        if let Some(folder) = target.parent().filter(|path| !path.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn lock_path(&self) -> PathBuf {
        self.beside("lock")
    }

    /// A file in the same folder as the one that a link leads to.
    fn beside(&self, ending: &str) -> PathBuf {
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut name = target.into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }

    fn failed(&self, what: &str, error: &io::Error) -> ConfigError {
        ConfigError::Invalid(format!(
            "the key file {} cannot {what}: {error}",
            self.path.display()
        ))
    }

    pub(super) fn wrong(&self, what: &str) -> ConfigError {
        ConfigError::Invalid(format!("the key file {} {what}", self.path.display()))
    }
}

/// Opens a file that only its owner may read.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}
