//! [`SealingKeys`]: encrypts secrets in the database that the service must read again.
//!
//! Uses AES-256-GCM with random nonces. The keys are not in the database, so whoever reads only the
//! database, or a copy of it, cannot make codes.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::config::data_folder;
use crate::config::variable;
use crate::error::Error;

const KEYS: &str = "SEALING_KEYS";
const KEYS_FILE: &str = "SEALING_KEYS_FILE";
const DEVELOPMENT_FILE: &str = "sealing-keys";
const KEY_BYTES: usize = 32;

/// The keys. The first one seals, and all of them open. Cheap to clone.
#[derive(Clone)]
pub struct SealingKeys(Arc<[Key]>);

struct Key {
    id: String,
    key: RandomizedNonceKey,
}

/// A secret that was opened.
pub(crate) struct Opened {
    pub(crate) secret: String,
    /// Whether it was sealed with the first key.
    pub(crate) is_current: bool,
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SealError {
    /// There is no key with this id.
    UnknownKey(String),
    /// The sealed text was changed or belongs to something else, or the key with this id is a different
    /// one.
    Broken,
}

// === impl SealingKeys ===

impl SealingKeys {
    /// Parses keys of the form `ID:KEY`, separated by white space. A key is 32 random bytes in base64. An
    /// id has letters, digits, `-` and `_`.
    ///
    /// # Errors
    ///
    /// Fails if there is no key, if a key or an id is malformed, or if an id occurs twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, word) in text.split_whitespace().enumerate() {
            let key = Key::parse(word).ok_or_else(|| {
                format!(
                    "{KEYS}: key {} does not have the form ID:KEY with 32 bytes in base64: make one \
                     with `echo \"1:$(openssl rand -base64 32)\"`",
                    number + 1
                )
            })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(format!("{KEYS}: the id `{}` occurs twice", key.id).into());
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(format!("{KEYS} contains no key").into());
        }
        Ok(Self(keys.into()))
    }

    /// Reads the variables. Without them, reads a file in this folder, which is made if it is missing.
    pub(crate) fn from_env(development: Option<&Path>) -> Result<Self, Error> {
        match (variable(KEYS)?, variable(KEYS_FILE)?, development) {
            (Some(_), Some(_), _) => {
                Err(format!("{KEYS} and {KEYS_FILE} are both set: set one of them").into())
            }
            (Some(keys), None, _) => Self::parse(&keys),
            (None, Some(file), _) => {
                check_mode(&file)?;
                let keys = fs::read_to_string(&file)
                    .map_err(|error| format!("{KEYS_FILE}: cannot read {file}: {error}"))?;
                Self::parse(&keys)
            }
            (None, None, Some(folder)) => {
                data_folder(folder)?;
                let file = folder.join(DEVELOPMENT_FILE);
                let keys = read_or_make(&file)
                    .map_err(|error| format!("cannot create the file {}: {error}", file.display()))?;
                Self::parse(&keys)
            }
            (None, None, None) => Err(format!(
                "neither {KEYS} nor {KEYS_FILE} is set: they encrypt the secrets of second factors. Make \
                 a key with `echo \"1:$(openssl rand -base64 32)\"`, and keep it separate from the \
                 database"
            )
            .into()),
        }
    }

    /// Encrypts a secret for this purpose and owner. It cannot be opened for another one.
    pub(crate) fn seal(&self, context: &str, secret: &str) -> Result<String, SealError> {
        let key = self.0.first().ok_or(SealError::Broken)?;
        let mut bytes = secret.as_bytes().to_vec();
        let nonce = key
            .key
            .seal_in_place_append_tag(Aad::from(context), &mut bytes)
            .map_err(|_| SealError::Broken)?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(format!("{}.{}", key.id, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Decrypts a secret that was sealed for this purpose and owner.
    pub(crate) fn open(&self, context: &str, sealed: &str) -> Result<Opened, SealError> {
        let (id, sealed) = sealed.split_once('.').ok_or(SealError::Broken)?;
        let place = self.0.iter().position(|key| key.id == id);
        let place = place.ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let key = self.0.get(place).ok_or(SealError::Broken)?;
        let sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| SealError::Broken)?;
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut bytes = sealed.to_vec();
        let secret = key
            .key
            .open_in_place(nonce, Aad::from(context), &mut bytes)
            .map_err(|_| SealError::Broken)?;
        Ok(Opened {
            secret: String::from_utf8(secret.to_vec()).map_err(|_| SealError::Broken)?,
            is_current: place == 0,
        })
    }
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

// === impl Key ===

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let (id, key) = text.split_once(':')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > 32 || !id.bytes().all(plain) {
            return None;
        }
        let key = STANDARD
            .decode(key)
            .or_else(|_| URL_SAFE_NO_PAD.decode(key))
            .ok()?;
        let key: [u8; KEY_BYTES] = key.try_into().ok()?;
        Some(Self {
            id: id.to_owned(),
            key: RandomizedNonceKey::new(&AES_256_GCM, &key).ok()?,
        })
    }
}

/// Refuses a file that others can read or change, like the other files with secrets.
#[cfg(unix)]
fn check_mode(file: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(file) {
        Ok(about) if about.permissions().mode() & 0o027 != 0 => {
            Err(format!("{KEYS_FILE}: others can use {file}: run `chmod 600` on it").into())
        }
        _ => Ok(()), // the next step reports a file that cannot be read
    }
}

#[cfg(not(unix))]
fn check_mode(_: &str) -> Result<(), Error> {
    Ok(())
}

/// Reads the file. If processes start at once, one of them makes it, and all read it.
fn read_or_make(file: &Path) -> io::Result<String> {
    if !file.try_exists()? {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        let new = file.with_extension(std::process::id().to_string());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(&new)?, "1:{}", STANDARD.encode(bytes))?;
        let linked = fs::hard_link(&new, file);
        fs::remove_file(&new)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    fs::read_to_string(file)
}

// === impl SealError ===

impl std::fmt::Display for SealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownKey(id) => write!(
                f,
                "a secret is sealed with the key `{id}`, which is not in {KEYS}: add it after the first key"
            ),
            Self::Broken => f.write_str(
                "a sealed secret cannot be opened: it was changed, or a key in SEALING_KEYS has the \
                 id of a different key",
            ),
        }
    }
}

impl std::error::Error for SealError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> String {
        format!("{id}:{}", STANDARD.encode([byte; 32]))
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_owner() {
        let keys = SealingKeys::parse(&key("1", 1)).unwrap();
        let sealed = keys.seal("totp of ada", "JBSWY3DP").unwrap();
        assert!(sealed.starts_with("1.") && !sealed.contains("JBSWY3DP"));
        assert_ne!(sealed, keys.seal("totp of ada", "JBSWY3DP").unwrap());
        assert_eq!(
            keys.open("totp of ada", &sealed).unwrap().secret,
            "JBSWY3DP"
        );
        let broken = |context: &str, sealed: &str| keys.open(context, sealed).err();
        assert_eq!(broken("totp of eve", &sealed), Some(SealError::Broken));
        let other = SealingKeys::parse(&key("1", 2)).unwrap();
        assert_eq!(
            other.open("totp of ada", &sealed).err(),
            Some(SealError::Broken)
        );
        for text in [
            "",
            "1",
            "1.",
            "1.AAAA",
            "JBSWY3DP",
            &sealed[..sealed.len() - 2],
        ] {
            assert_eq!(
                broken("totp of ada", text),
                Some(SealError::Broken),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_that_was_replaced_still_opens() {
        let old = SealingKeys::parse(&key("1", 1)).unwrap();
        let sealed = old.seal("x", "secret").unwrap();
        let both = SealingKeys::parse(&format!("{} {}", key("2", 2), key("1", 1))).unwrap();
        let opened = both.open("x", &sealed).unwrap();
        assert_eq!(
            (opened.secret.as_str(), opened.is_current),
            ("secret", false)
        );
        assert!(
            both.open("x", &both.seal("x", "secret").unwrap())
                .unwrap()
                .is_current
        );
        let new = SealingKeys::parse(&key("2", 2)).unwrap();
        let error = new.open("x", &sealed).err().unwrap();
        assert_eq!(error, SealError::UnknownKey("1".to_owned()));
        assert_eq!(format!("{both:?}"), r#"["2", "1"]"#);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = std::env::temp_dir().join(format!("service-sealing-{}", std::process::id()));
        fs::write(&file, key("1", 1)).unwrap();
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_mode(file.to_str().unwrap()).is_ok(), good, "{mode:o}");
        }
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_malformed_key_is_not_repeated() {
        for text in [
            "",
            "secret",
            "1:c2VjcmV0",
            ":secret",
            &format!("{0} {0}", key("1", 1)),
        ] {
            let error = SealingKeys::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("SEALING_KEYS"), "{error}");
            assert!(
                !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
    }
}
