//! [`Form`]: makes and reads the text of a key.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{AuthError, AuthErrorKind, ConfigError, Reason};
use crate::keys::{digest, sha256};

/// The letters and digits of a key. A double click selects the whole key, and no encoding changes it.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The length of an id, in characters: 62^16 is more than 2^95.
const ID_CHARS: usize = 16;
/// The length of the secret, in characters: 62^43 is more than 2^256.
const SECRET_CHARS: usize = 43;
/// The length of the checksum, in characters: 62^6 is more than 2^32.
const CHECKSUM_CHARS: usize = 6;

/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 32;

/// The form of the keys of one service: its prefix.
pub(super) struct Form {
    /// The prefix, with an underscore at its end.
    prefix: Box<str>,
}

/// A key with the right form, whose secret has not been compared yet.
pub(super) struct Parsed<'k> {
    pub(super) id: &'k str,
    /// The SHA-256 of the whole text, so that a secret is not valid with another prefix or id.
    pub(super) digest: [u8; 32],
}

/// A key that was just made.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) text: Zeroizing<String>,
    /// The SHA-256 of the whole text, in base64url.
    pub(super) digest: String,
}

// === impl Form ===

impl Form {
    pub(super) fn new(prefix: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let is_good = (2..=MAX_PREFIX).contains(&prefix.len())
            && prefix.starts_with(|first: char| first.is_ascii_lowercase())
            && !prefix.ends_with('_')
            && prefix.bytes().all(is_allowed);
        if !is_good {
            let shown: String = prefix.escape_default().take(64).collect();
            return Err(ConfigError::Invalid(format!(
                "the prefix of API keys is `{shown}`: it must have 2 to {MAX_PREFIX} lower-case \
                 letters, digits and `_`, begin with a letter, and not end with `_`, such as `acme`"
            )));
        }
        Ok(Self {
            prefix: format!("{prefix}_").into(),
        })
    }

    /// Returns whether a text begins as the keys do.
    pub(super) fn handles(&self, text: &str) -> bool {
        text.starts_with(&*self.prefix)
    }

    /// Reads a key. One with a typing error is refused here, by its checksum.
    pub(super) fn parse<'k>(&self, text: &'k str) -> Result<Parsed<'k>, AuthError> {
        let rest = text.strip_prefix(&*self.prefix).ok_or_else(malformed)?;
        if rest.len() != ID_CHARS + SECRET_CHARS + CHECKSUM_CHARS
            || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(malformed());
        }
        let (body, given) = text.split_at(text.len() - CHECKSUM_CHARS);
        if checksum(body).ok_or(AuthErrorKind::Internal)? != given.as_bytes() {
            return Err(malformed());
        }
        Ok(Parsed {
            id: &rest[..ID_CHARS],
            digest: sha256(text.as_bytes()).ok_or(AuthErrorKind::Internal)?,
        })
    }

    /// Makes a key. Returns `None` if the operating system provides no randomness.
    pub(super) fn make(&self) -> Option<Made> {
        let length = self.prefix.len() + ID_CHARS + SECRET_CHARS + CHECKSUM_CHARS;
        // Allocates enough at once, because growing would leave copies of the key in memory.
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(&self.prefix);
        push_random(&mut text, ID_CHARS)?;
        let id = text[self.prefix.len()..].to_owned();
        push_random(&mut text, SECRET_CHARS)?;
        let sum = checksum(&text)?;
        text.extend(sum.map(char::from));
        Some(Made {
            id,
            digest: digest(text.as_bytes())?,
            text,
        })
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Form").field(&self.prefix).finish()
    }
}

/// Returns whether a text has the form of the id of a key.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Appends random characters, all equally likely: of 64 possible numbers, two are discarded.
fn push_random(text: &mut String, count: usize) -> Option<()> {
    let end = text.len() + count;
    let mut bytes = [0; 64];
    while text.len() < end {
        getrandom::fill(&mut bytes).ok()?;
        let random = bytes.iter().map(|byte| usize::from(byte & 63));
        let random = random.filter_map(|number| ALPHABET.get(number));
        text.extend(
            random
                .take(end - text.len())
                .map(|character| char::from(*character)),
        );
    }
    bytes.zeroize();
    Some(())
}

/// Computes the first 32 bits of the SHA-256 of a text, in base 62. This detects typing errors, and tells
/// keys from texts that look similar. Anybody can compute it.
fn checksum(text: &str) -> Option<[u8; CHECKSUM_CHARS]> {
    let digest = sha256(text.as_bytes())?;
    let [a, b, c, d, ..] = digest;
    let mut number = u32::from_be_bytes([a, b, c, d]);
    let mut sum = [b'0'; CHECKSUM_CHARS];
    for place in sum.iter_mut().rev() {
        *place = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    Some(sum)
}

fn malformed() -> AuthError {
    AuthError::new(AuthErrorKind::MalformedToken).because(&Reason {
        code: "api_key_malformed",
        message: "the API key is incomplete or mistyped: its length, its characters or its checksum \
                  is wrong",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ALPHABET, Form, checksum, is_id};
    use crate::error::AuthErrorKind;

    #[test]
    fn a_key_can_be_read_after_it_was_made() {
        let form = Form::new("acme").unwrap();
        for _ in 0..1000 {
            let made = form.make().unwrap();
            assert_eq!(made.text.len(), 5 + 16 + 43 + 6);
            let parsed = form.parse(&made.text).unwrap();
            assert!(is_id(parsed.id) && parsed.id == made.id);
            assert_eq!(crate::keys::digest(made.text.as_bytes()), Some(made.digest));
        }
    }

    #[test]
    fn a_key_with_another_prefix_is_malformed() {
        let (one, other) = (Form::new("acme").unwrap(), Form::new("acme_test").unwrap());
        let made = other.make().unwrap();
        assert!(one.handles(&made.text) && other.handles(&made.text));
        let refused = one.parse(&made.text).map(|parsed| parsed.digest);
        assert_eq!(refused.unwrap_err().kind(), AuthErrorKind::MalformedToken);
    }

    #[test]
    fn the_checksum_is_the_beginning_of_a_sha_256_in_base_62() {
        // SHA-256 of the empty text begins with e3b0c442, which is 3820012610.
        let number = 3_820_012_610_u64;
        let mut rest = number;
        let digits = std::array::from_fn::<_, 6, _>(|_| {
            let digit = ALPHABET[usize::try_from(rest % 62).unwrap()];
            rest /= 62;
            digit
        });
        let expected: Vec<u8> = digits.into_iter().rev().collect();
        assert_eq!(checksum("").unwrap().to_vec(), expected);
    }

    #[test]
    fn all_characters_are_equally_likely() {
        let form = Form::new("ab").unwrap();
        let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
        let keys = 5_000_u32;
        for _ in 0..keys {
            let made = form.make().unwrap();
            for byte in made.text[3..3 + 59].bytes() {
                *counts.entry(byte).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        // 295,000 characters, 4758 expected of each, with a standard deviation of 69: eight of them.
        for (character, count) in counts {
            assert!((4_200..5_320).contains(&count), "{character}: {count}");
        }
    }

    #[test]
    fn a_prefix_is_checked() {
        for good in ["ab", "acme", "acme_live", "a1", &"a".repeat(32)] {
            assert!(Form::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "Acme",
            "acme-live",
            "acme_",
            "_acme",
            "1acme",
            "acmé",
            "ac me",
            "a\n",
            &"a".repeat(33),
        ] {
            assert!(Form::new(bad).is_err(), "{bad}");
        }
    }
}
