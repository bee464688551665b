//! The file of a ring: a JWK set of private keys, read strictly, replaced whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::schedule::Life;
use super::{Snapshot, check, no_such_key};
use crate::error::ConfigError;
use crate::keys::{Algorithm, SigningKey};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where a ring is kept.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

/// The keys of a file, and whatever else it says.
#[derive(Default)]
pub(super) struct Document {
    keys: Vec<FileKey>,
    /// Members beside `keys`, as JSON.
    rest: BTreeMap<String, String>,
}

struct FileKey {
    key: SigningKey,
    life: Life,
    /// The members of the JWK, as JSON.
    members: BTreeMap<String, Zeroizing<String>>,
}

/// The members of an object, as the text that they are.
type Members<'t> = BTreeMap<Cow<'t, str>, &'t RawValue>;

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
        let file = File::open(&self.path).map_err(|error| self.failed("be read", &error))?;
        let about = file
            .metadata()
            .map_err(|error| self.failed("be read", &error))?;
        self.check_mode(&about)?;
        if about.len() > MAX_BYTES {
            return Err(self.wrong("is larger than 1 MiB"));
        }
        // Its room is there from the start: to grow would leave copies of it behind.
        let room = usize::try_from(about.len()).unwrap_or_default() + 1;
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| self.failed("be read", &error))?;
        Ok(text)
    }

    /// Others must not have the keys.
    #[cfg(unix)]
    fn check_mode(&self, about: &fs::Metadata) -> Result<(), ConfigError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o027 != 0 {
            return Err(self.wrong(&format!(
                "has the mode {mode:o}, so that others can use the keys: `chmod 600` it"
            )));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // as on unix
    fn check_mode(&self, _: &fs::Metadata) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The keys in a text that this file holds.
    pub(super) fn parse(&self, text: &str) -> Result<Document, ConfigError> {
        let set: Members<'_> = serde_json::from_str(text).map_err(|error| {
            // The parser's own words may quote the keys.
            let (line, column) = (error.line(), error.column());
            self.wrong(&format!("is no JSON object (line {line}, column {column})"))
        })?;
        let keys = set.get("keys").map(|keys| keys.get()).unwrap_or_default();
        let keys: Vec<&RawValue> = serde_json::from_str(keys)
            .map_err(|_| self.wrong("has no array `keys` (RFC 7517 section 5)"))?;
        let keys = keys.into_iter().enumerate().map(|(index, jwk)| {
            let key = FileKey::parse(jwk.get());
            key.map_err(|error| {
                self.wrong(&format!("has a bad key, number {}: {error}", index + 1))
            })
        });
        let document = Document {
            keys: keys.collect::<Result<_, _>>()?,
            rest: set
                .into_iter()
                .filter(|(name, _)| name != "keys")
                .map(|(name, value)| (name.into_owned(), value.get().to_owned()))
                .collect(),
        };
        check(document.key_ids()).map_err(|error| self.wrong(&format!("is not good: {error}")))?;
        Ok(document)
    }

    /// Waits until no other process changes the file; nobody else does until the lock is dropped.
    pub(super) fn lock(&self) -> Result<File, ConfigError> {
        // Not the file itself: that one is replaced.
        let path = self.beside("lock");
        let lock = private(OpenOptions::new().write(true).create(true), &path)
            .and_then(|lock| fs4::FileExt::lock(&lock).map(|()| lock));
        lock.map_err(|error| self.failed("be locked", &error))
    }

    /// Replaces the file in one step, and is sure that it lasts.
    pub(super) fn write(&self, text: &str) -> Result<(), ConfigError> {
        let written = self.replace(text);
        written.map_err(|error| self.failed("be written", &error))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        // A link stays a link.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let fresh = self.beside(&format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&fresh); // left by a process of the same number; the lock is ours
        let written = private(OpenOptions::new().write(true).create_new(true), &fresh)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&fresh, &target));
        if written.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        written?;
        #[cfg(unix)]
        if let Some(folder) = target.parent().filter(|path| !path.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
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

    fn wrong(&self, what: &str) -> ConfigError {
        ConfigError::Invalid(format!("the key file {} {what}", self.path.display()))
    }
}

/// Opens a file that only its owner may read.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

// === impl Document ===

impl Document {
    pub(super) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|one| one.key.key_id())
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        self.keys.iter().map(|one| one.life).collect()
    }

    pub(super) fn snapshot(&self, digest: Option<String>) -> Snapshot {
        let keys = self.keys.iter().map(|one| (one.key.clone(), one.life));
        Snapshot {
            digest,
            ..Snapshot::new(keys.collect())
        }
    }

    pub(super) fn add(&mut self, key: &SigningKey, from: u64, now: u64) -> Result<(), ConfigError> {
        self.push(&key.to_private_jwk()?, from, now)
    }

    pub(super) fn generate(
        &mut self,
        algorithm: Algorithm,
        from: u64,
        now: u64,
    ) -> Result<(), ConfigError> {
        self.push(&SigningKey::generate_jwk(algorithm)?, from, now)
    }

    fn push(&mut self, jwk: &str, from: u64, now: u64) -> Result<(), ConfigError> {
        let mut key = FileKey::parse(jwk)?;
        key.set("iat", now);
        key.set("nbf", from);
        key.life.from = from;
        self.keys.push(key);
        Ok(())
    }

    pub(super) fn activate(&mut self, key_id: &str, from: u64) -> Result<(), ConfigError> {
        // The last of those with one time is the one that signs.
        let mut key = self.keys.remove(self.place(key_id)?);
        key.set("nbf", from);
        key.life.from = from;
        self.keys.push(key);
        Ok(())
    }

    pub(super) fn remove(&mut self, key_id: &str) -> Result<(), ConfigError> {
        self.keys.remove(self.place(key_id)?);
        Ok(())
    }

    /// Drops the keys of which `is_forgotten` says so, by their place in the order of activation.
    pub(super) fn forget(&mut self, is_forgotten: impl Fn(&[Life], usize) -> bool) {
        self.keys.sort_by_key(|one| one.life.from);
        let (lives, mut index) = (self.lives(), 0);
        self.keys.retain(|_| {
            index += 1;
            !is_forgotten(&lives, index - 1)
        });
    }

    fn place(&self, key_id: &str) -> Result<usize, ConfigError> {
        self.key_ids()
            .position(|one| one == key_id)
            .ok_or_else(|| no_such_key(key_id))
    }

    /// The file's text, one member a line.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let members = self.keys.iter().flat_map(|one| &one.members);
        let long = members.map(|(name, value)| name.len() + value.len() + 32);
        let rest = self
            .rest
            .iter()
            .map(|(name, value)| name.len() * 6 + value.len() + 32);
        // Room for all of it: to grow would leave copies of it behind.
        let room = long.chain(rest).sum::<usize>() + self.keys.len() * 32 + 64;
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str("{\n");
        for (name, value) in &self.rest {
            push_member(&mut text, "  ", name, value);
            text.push_str(",\n");
        }
        text.push_str("  \"keys\": [");
        for (index, one) in self.keys.iter().enumerate() {
            text.push_str(if index == 0 {
                "\n    {\n"
            } else {
                ",\n    {\n"
            });
            for (index, (name, value)) in one.members.iter().enumerate() {
                if index > 0 {
                    text.push_str(",\n");
                }
                push_member(&mut text, "      ", name, value);
            }
            text.push_str("\n    }");
        }
        text.push_str("\n  ]\n}\n");
        text
    }
}

fn push_member(text: &mut String, indent: &str, name: &str, value: &str) {
    text.push_str(indent);
    text.push_str(&serde_json::Value::from(name).to_string());
    text.push_str(": ");
    text.push_str(value);
}

// === impl FileKey ===

impl FileKey {
    fn parse(jwk: &str) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Times {
            nbf: Option<f64>,
            exp: Option<f64>,
            #[serde(rename = "iat")]
            _iat: Option<f64>,
        }
        let key = SigningKey::from_jwk(jwk)?;
        let bad = |what: &str| ConfigError::Invalid(what.to_owned());
        let members: Members<'_> =
            serde_json::from_str(jwk).map_err(|_| bad("it is no JSON Web Key"))?;
        let times: Times = serde_json::from_str(jwk).map_err(|_| {
            bad("its `nbf`, `exp` and `iat` must be numbers: seconds since 1970 (NumericDate)")
        })?;
        let mut life = Life::ALWAYS;
        if let Some(from) = times.nbf {
            life.from = seconds(from).ok_or_else(|| bad("its `nbf` is no time"))?;
        }
        if let Some(ends) = times.exp {
            life.ends = Some(seconds(ends).ok_or_else(|| bad("its `exp` is no time"))?);
        }
        let members = members
            .into_iter()
            .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.get().to_owned())));
        Ok(Self {
            key,
            life,
            members: members.collect(),
        })
    }

    fn set(&mut self, name: &str, seconds: u64) {
        let value = Zeroizing::new(seconds.to_string());
        self.members.insert(name.to_owned(), value);
    }
}

/// Whole seconds, rounded up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range
fn seconds(time: f64) -> Option<u64> {
    (0.0..=253_402_300_799.0) // to the year 9999
        .contains(&time)
        .then(|| time.ceil() as u64)
}
