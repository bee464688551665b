//! [`PasswordHash`]: a stored hash that has been parsed and is valid.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::password::argon2::Argon2Hash;
use crate::password::bcrypt::BcryptHash;
use crate::password::error::PasswordError;

/// A stored password hash that has been parsed and is valid.
///
/// A prefix that Django, Spring Security, Dovecot or OpenLDAP put before the hash is accepted, as in
/// `{bcrypt}$2a$...` and `argon2$argon2id$...`.
///
/// It contains only the stored text. Write [`as_str`](PasswordHash::as_str) to a text column, and
/// [`parse`](PasswordHash::parse) what you read from it. Argon2 hashes are PHC strings and bcrypt hashes are
/// crypt(3) strings, so other languages can read them, too.
///
/// ```
/// use tower_jwt_auth::password::{PasswordAlgorithm, PasswordError, PasswordHash};
///
/// let row = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw";
/// let hash = PasswordHash::parse(row)?;
/// assert_eq!(hash.algorithm(), PasswordAlgorithm::Argon2id);
/// assert_eq!(hash.as_str(), row);
///
/// assert_eq!(PasswordHash::parse("$1$old$md5").unwrap_err(), PasswordError::UnsupportedAlgorithm);
/// # Ok::<(), PasswordError>(())
/// ```
///
/// # Security
///
/// `Debug` prints `[redacted]`, there is no `Display`, and the memory is wiped on drop.
#[derive(Clone)]
pub struct PasswordHash {
    text: Zeroizing<String>,
    parts: Parts,
}

/// The algorithm of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PasswordAlgorithm {
    /// Argon2id. New hashes use it by default.
    Argon2id,
    /// Argon2i. Such a hash is verified and then replaced.
    Argon2i,
    /// Argon2d. Such a hash is verified and then replaced.
    Argon2d,
    /// bcrypt, as `$2a$`, `$2b$` or `$2y$`. Such a hash is verified and then replaced, unless the service
    /// makes bcrypt hashes.
    Bcrypt,
}

#[derive(Clone)]
pub(super) enum Parts {
    Argon2(Argon2Hash),
    Bcrypt(BcryptHash),
}

/// More bytes than any hash that can be parsed has. The length is checked first.
pub(super) const MAX_HASH_BYTES: usize = 512;

// === impl PasswordHash ===

impl PasswordHash {
    /// Parses a stored hash.
    ///
    /// # Errors
    ///
    /// - [`NoPassword`](PasswordError::NoPassword): it is empty, or a marker such as `!` or `*`.
    /// - [`InvalidHash`](PasswordError::InvalidHash): it is damaged.
    /// - [`UnsupportedAlgorithm`](PasswordError::UnsupportedAlgorithm): it uses another algorithm, such as
    ///   bcrypt's broken `$2x$`.
    /// - [`CostTooHigh`](PasswordError::CostTooHigh): it needs more than 1 GiB, 20 passes, 16 lanes or a
    ///   bcrypt cost of 16.
    ///
    /// # Security
    ///
    /// For a login, call [`verify_stored`](crate::PasswordService::verify_stored), which parses the hash
    /// itself. If a login ended with the error of `parse`, it would be faster than one with a wrong password,
    /// which reveals that the account exists.
    pub fn parse(stored: &str) -> Result<Self, PasswordError> {
        Parts::read(stored).map(|parts| Self {
            text: Zeroizing::new(stored.to_owned()),
            parts,
        })
    }

    /// Returns the text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the algorithm of the hash.
    #[must_use]
    pub fn algorithm(&self) -> PasswordAlgorithm {
        match &self.parts {
            Parts::Argon2(hash) => hash.algorithm(),
            Parts::Bcrypt(_) => PasswordAlgorithm::Bcrypt,
        }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl From<Argon2Hash> for PasswordHash {
    fn from(hash: Argon2Hash) -> Self {
        Self {
            text: hash.encode(),
            parts: Parts::Argon2(hash),
        }
    }
}

impl From<BcryptHash> for PasswordHash {
    fn from(hash: BcryptHash) -> Self {
        Self {
            text: hash.encode(),
            parts: Parts::Bcrypt(hash),
        }
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordError;

    fn from_str(stored: &str) -> Result<Self, PasswordError> {
        Self::parse(stored)
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = PasswordError;

    fn try_from(stored: String) -> Result<Self, PasswordError> {
        let text = Zeroizing::new(stored);
        Parts::read(&text).map(|parts| Self { text, parts })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}

// === impl PasswordAlgorithm ===

impl PasswordAlgorithm {
    /// Returns the name in lower case, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Argon2id => "argon2id",
            Self::Argon2i => "argon2i",
            Self::Argon2d => "argon2d",
            Self::Bcrypt => "bcrypt",
        }
    }
}

impl fmt::Display for PasswordAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Parts ===

impl Parts {
    fn read(stored: &str) -> Result<Self, PasswordError> {
        if stored.len() > MAX_HASH_BYTES {
            return Err(damaged("it is longer than 512 bytes"));
        }
        if marks_no_password(stored) {
            return Err(PasswordError::NoPassword);
        }
        let stored = without_prefix(stored);
        let identifier = stored
            .strip_prefix('$')
            .and_then(|rest| rest.split('$').next());
        match identifier {
            Some("argon2id" | "argon2i" | "argon2d") => Argon2Hash::read(stored).map(Self::Argon2),
            Some("2a" | "2b" | "2y") => BcryptHash::read(stored).map(Self::Bcrypt),
            Some(other) if is_identifier(other) => Err(PasswordError::UnsupportedAlgorithm),
            _ if names_another_system(stored) => Err(PasswordError::UnsupportedAlgorithm),
            _ => Err(damaged("it does not begin with an algorithm")),
        }
    }
}

pub(super) fn damaged(reason: &'static str) -> PasswordError {
    PasswordError::InvalidHash { reason }
}

/// Compares two tags without stopping at the first byte that differs.
pub(super) fn same_tag(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |seen, (x, y)| black_box(seen | (x ^ y)));
    a.len() == b.len() && black_box(difference) == 0
}

/// Draws a salt of 128 bits from the operating system.
pub(super) fn fresh_salt() -> Result<[u8; 16], PasswordError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Internal)?;
    Ok(salt)
}

/// Returns whether `stored` is empty or a marker by which other systems lock an account: Django's `!` with
/// random characters after it, or `!`, `*`, `*LK*` or `*0` as in crypt(3) and shadow(5).
fn marks_no_password(stored: &str) -> bool {
    let stored = stored.trim();
    stored.is_empty() || stored.starts_with('!') || (stored.starts_with('*') && stored.len() <= 4)
}

/// Removes the prefix that other systems put before an Argon2 or bcrypt hash: Django's `argon2` and
/// `bcrypt$`, and the scheme in braces of Spring Security (`{bcrypt}`), Dovecot (`{BLF-CRYPT}`) and OpenLDAP
/// (`{ARGON2}`).
fn without_prefix(stored: &str) -> &str {
    let split = match stored.strip_prefix('{') {
        Some(rest) => rest.split_once('}'),
        None => stored
            .strip_prefix("bcrypt$")
            .map(|hash| ("bcrypt", hash))
            .or_else(|| stored.strip_prefix("argon2").map(|hash| ("argon2", hash))),
    };
    let Some((scheme, hash)) = split else {
        return stored;
    };
    let begin = match &*scheme.to_ascii_lowercase() {
        "bcrypt" | "blf-crypt" | "crypt" => "$2",
        "argon2" | "argon2id" | "argon2i" | "argon2d" => "$argon2",
        "argon2@springsecurity_v5_2" | "argon2@springsecurity_v5_8" => "$argon2",
        _ => return stored,
    };
    if hash.starts_with(begin) {
        hash
    } else {
        stored
    }
}

/// Returns whether `stored` begins like the hash of another system: `pbkdf2_sha256$`, `scrypt:` or `{SSHA}`.
fn names_another_system(stored: &str) -> bool {
    let name = match stored.strip_prefix('{') {
        Some(rest) => rest.split_once('}').map(|(name, _)| name),
        None => stored.split_once(['$', ':']).map(|(name, _)| name),
    };
    name.is_some_and(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_the_same_only_in_every_byte_and_in_length() {
        assert!(same_tag(b"abc", b"abc"));
        for other in [b"abd".as_slice(), b"xbc", b"ab", b"abcd", b""] {
            assert!(!same_tag(b"abc", other));
        }
    }

    #[test]
    fn a_string_that_is_too_long_is_not_parsed() {
        let megabyte = format!("$argon2id${}", "A".repeat(1 << 20));
        let error = damaged("it is longer than 512 bytes");
        assert_eq!(PasswordHash::parse(&megabyte).unwrap_err(), error);
        assert_eq!(PasswordHash::try_from(megabyte).unwrap_err(), error);
    }

    #[test]
    fn text_that_is_not_a_hash_is_not_an_unknown_algorithm() {
        for text in ["$", "$$", "plain", "$argon 2$", " $2b$", "{SSHA", "a b$c"] {
            assert!(matches!(
                PasswordHash::parse(text),
                Err(PasswordError::InvalidHash { .. })
            ));
        }
        for text in [
            "$2x$10$abc",
            "$2$",
            "$6$salt$tag",
            "$scrypt$ln=16",
            "$pbkdf2-sha256$1$a$b",
            "argon2id$v=19",
            "{SSHA}abc",
            "scrypt:32768:8:1$salt$00",
        ] {
            assert_eq!(
                PasswordHash::parse(text).unwrap_err(),
                PasswordError::UnsupportedAlgorithm
            );
        }
    }
}
