//! [`KeyFile`]: the file of a ring. It is read without a lock, changed under a lock, and replaced atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fs4::TryLockError;
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::secret_file::{self, Content};

/// The time for which a change waits for the lock. A change takes a fraction of a second.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);

/// The pause before a change tries again to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The file in which a ring is kept.
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
        // If this fails, reading the file reports why.
        self.path.try_exists().unwrap_or(true)
    }

    pub(super) fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        let text = secret_file::read(&self.path, Content::Secret);
        text.map_err(|error| self.wrong(&error.to_string()))
    }

    /// Keeps other processes from changing the file until the lock is dropped. Readers need no lock, because
    /// the file is replaced atomically.
    ///
    /// It waits for another process that is changing the file, but gives up if that process hangs.
    pub(super) fn lock(&self) -> Result<File, ConfigError> {
        // The lock is on another file, because this one is replaced.
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
                // Callers wait for the disk as well, so they do not run on an async worker.
                #[allow(clippy::disallowed_methods)]
                Err(_) => thread::sleep(LOCK_PAUSE),
            }
        }
    }

    /// Returns the error if another process does not release the lock.
    pub(super) fn is_held(&self) -> ConfigError {
        let (path, lock) = (self.path.display(), self.lock_path());
        let (lock, seconds) = (lock.display(), MAX_LOCK_WAIT.as_secs());
        ConfigError::Invalid(format!(
            "the key file {path} cannot be changed: another process has held its lock {lock} for \
             {seconds} seconds: if that process hangs, stop it (`fuser {lock}` shows its id)"
        ))
    }

    /// Returns the error if reading the file takes too long.
    pub(super) fn does_not_answer(&self, waited: Duration) -> ConfigError {
        ConfigError::Invalid(format!(
            "the key file {} cannot be read: the disk has not responded for {} seconds: check the disk or the \
             network mount with the file",
            self.path.display(),
            waited.as_secs()
        ))
    }

    /// Replaces the file atomically, and returns when the new one is safe on the disk. Returns `false` and
    /// changes nothing if the file no longer has the text `before`.
    ///
    /// People who replace the file by hand take no lock. If this process was suspended meanwhile, its text
    /// would restore the keys that they have removed.
    pub(super) fn replace(&self, before: Option<&str>, text: &str) -> Result<bool, ConfigError> {
        let fresh = self.beside(&format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&fresh); // left by an earlier process with the same id
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
        // Replaces the target of a link, and not the link.
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

    /// Returns the path of a file in the same folder, or in that of the target if the file is a link.
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
