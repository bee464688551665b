//! Argon2 hashes: parsing and writing their PHC strings, and computing their tags.

use ::argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::password::error::PasswordError;
use crate::password::hash::{PasswordAlgorithm, damaged, fresh_salt, same_tag};
use crate::password::params::Argon2Params;
use crate::password::policy::Pepper;
use crate::password::pool::Scratch;

/// The parts of `$argon2id$v=19$m=19456,t=2,p=1,keyid=MQ$salt$tag`.
///
/// `keyid` is only present in a peppered hash, as the base64 of the pepper's id. The PHC format defines it,
/// but the reference implementation in C does not support it. That does not matter, because such a program
/// does not have the secret either.
#[derive(Clone)]
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Argon2Params,
    key_id: Option<Vec<u8>>,
    salt: Vec<u8>,
    tag: Zeroizing<Vec<u8>>,
}

const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

// === impl Argon2Hash ===

impl Argon2Hash {
    pub(super) fn read(text: &str) -> Result<Self, PasswordError> {
        let mut fields = text.split('$').skip(1).peekable();
        let algorithm = match fields.next() {
            Some("argon2id") => Algorithm::Argon2id,
            Some("argon2i") => Algorithm::Argon2i,
            _ => Algorithm::Argon2d,
        };
        // Strings from before Argon2 1.3 contain no version.
        let version = match fields.next_if(|field| field.starts_with("v=")) {
            Some("v=19") => Version::V0x13,
            Some("v=16") | None => Version::V0x10,
            Some(_) => return Err(PasswordError::UnsupportedAlgorithm),
        };
        let (params, key_id) = read_params(fields.next().unwrap_or_default())?;
        let salt = decode(fields.next(), 8, "the salt is not 8 to 64 bytes of base64")?;
        let tag = decode(fields.next(), 10, "the tag is not 10 to 64 bytes of base64")?;
        if fields.next().is_some() {
            return Err(damaged("there is text after the tag"));
        }
        Ok(Self {
            algorithm,
            version,
            params,
            key_id,
            salt,
            tag: Zeroizing::new(tag),
        })
    }

    pub(super) fn make(
        params: Argon2Params,
        pepper: Option<&Pepper>,
        password: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Self, PasswordError> {
        let mut hash = Self::dummy(params, pepper);
        hash.salt = fresh_salt()?.to_vec();
        hash.tag = hash.tag_of(pepper, password, scratch)?;
        Ok(hash)
    }

    /// Creates a hash that costs as much as a new one, and that no known password matches.
    pub(super) fn dummy(params: Argon2Params, pepper: Option<&Pepper>) -> Self {
        Self {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params,
            key_id: pepper.map(|pepper| pepper.id().to_vec()),
            salt: vec![0; SALT_BYTES],
            tag: Zeroizing::new(vec![0; TAG_BYTES]),
        }
    }

    pub(super) fn encode(&self) -> Zeroizing<String> {
        let (params, version) = (self.params, u32::from(self.version));
        let mut text = format!(
            "${}$v={version}$m={},t={},p={}",
            self.algorithm.as_str(),
            params.memory_kib(),
            params.passes(),
            params.lanes(),
        );
        if let Some(id) = &self.key_id {
            text.push_str(",keyid=");
            STANDARD_NO_PAD.encode_string(id, &mut text);
        }
        for part in [&self.salt, &*self.tag] {
            text.push('$');
            STANDARD_NO_PAD.encode_string(part, &mut text);
        }
        Zeroizing::new(text)
    }

    /// Returns whether `password` has this tag. `pepper` is the one that [`key_id`](Self::key_id) names.
    pub(super) fn matches(
        &self,
        pepper: Option<&Pepper>,
        password: &[u8],
        scratch: &mut Scratch,
    ) -> Result<bool, PasswordError> {
        Ok(same_tag(
            &self.tag,
            &self.tag_of(pepper, password, scratch)?,
        ))
    }

    /// Returns whether a hash that is made now with `params` would be stronger in any respect.
    pub(super) fn is_weaker_than(&self, params: Argon2Params) -> bool {
        self.algorithm != Algorithm::Argon2id
            || self.version != Version::V0x13
            || self.params.is_weaker_than(params)
            || self.salt.len() < SALT_BYTES
            || self.tag.len() < TAG_BYTES
    }

    pub(super) fn algorithm(&self) -> PasswordAlgorithm {
        match self.algorithm {
            Algorithm::Argon2id => PasswordAlgorithm::Argon2id,
            Algorithm::Argon2i => PasswordAlgorithm::Argon2i,
            Algorithm::Argon2d => PasswordAlgorithm::Argon2d,
        }
    }

    pub(super) fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    pub(super) fn blocks(&self) -> usize {
        self.params.blocks()
    }

    fn tag_of(
        &self,
        pepper: Option<&Pepper>,
        password: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
        let (m, t, p) = (
            self.params.memory_kib(),
            self.params.passes(),
            self.params.lanes(),
        );
        let mut tag = Zeroizing::new(vec![0; self.tag.len()]);
        Params::new(m, t, p, Some(tag.len()))
            .and_then(|params| match pepper {
                None => Ok(Argon2::new(self.algorithm, self.version, params)),
                Some(pepper) => {
                    Argon2::new_with_secret(pepper.secret(), self.algorithm, self.version, params)
                }
            })
            .map_err(|_| PasswordError::Internal)?
            .hash_password_into_with_memory(
                password,
                &self.salt,
                &mut tag,
                scratch.blocks(self.blocks())?,
            )
            .map_err(|_| PasswordError::Internal)?;
        Ok(tag)
    }
}

/// Parses `m=..,t=..,p=..` in this order, and an optional `keyid=..` after them.
fn read_params(field: &str) -> Result<(Argon2Params, Option<Vec<u8>>), PasswordError> {
    let mut values = field.split(',');
    let memory_kib = read_number(values.next(), "m=")?;
    let passes = read_number(values.next(), "t=")?;
    let lanes = read_number(values.next(), "p=")?;
    let params = Argon2Params::new(memory_kib, passes, lanes);
    if !params.is_within_caps() {
        return Err(PasswordError::CostTooHigh);
    }
    if !params.is_possible() {
        return Err(damaged("its parameters are not valid for Argon2"));
    }
    let key_id = match values.next() {
        None => None,
        Some(value) => {
            let id = value
                .strip_prefix("keyid=")
                .and_then(|id| STANDARD_NO_PAD.decode(id).ok());
            Some(id.ok_or(damaged("the parameter after m, t and p is not a keyid"))?)
        }
    };
    match values.next() {
        None => Ok((params, key_id)),
        Some(_) => Err(damaged("it has more parameters than m, t, p and keyid")),
    }
}

/// Parses one decimal number as the PHC format defines it: without a sign and without leading zeros.
fn read_number(field: Option<&str>, name: &str) -> Result<u32, PasswordError> {
    let digits = field
        .and_then(|field| field.strip_prefix(name))
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        .filter(|digits| !digits.starts_with('0'))
        .ok_or(damaged("its parameters are not m, t and p in decimal"))?;
    digits.parse().map_err(|_| PasswordError::CostTooHigh)
}

fn decode(field: Option<&str>, min: usize, reason: &'static str) -> Result<Vec<u8>, PasswordError> {
    field
        .and_then(|field| STANDARD_NO_PAD.decode(field).ok())
        .filter(|bytes| (min..=64).contains(&bytes.len()))
        .ok_or(damaged(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORSE: &[u8] = b"correct horse";

    /// Made from "correct horse" by argon2-cffi 25.1.0 (the reference implementation in C).
    const FROM_C: [&str; 7] = [
        "$argon2id$v=16$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$OrIO9kv58jSieDMEmxvApFv6nWFEesfbEW39oUwQGqw",
        "$argon2id$v=19$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$Sh1LF6dsajp2YjljvL/T0Tk68lSWQP232iGGbb+Qa5Y",
        "$argon2i$v=16$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$Q/g7ExRzd4OwBixEclcbxr7bcZNyhXm6Zg3utrfmkiU",
        "$argon2i$v=19$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$Um2tQKSMO+0XrtzC+8oOj5XIfVYiz90GkcRUBruZJKQ",
        "$argon2d$v=16$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$jx8zQPbS2uZZaaiayofhEXiIMXyeMYk6krMQewm4CDg",
        "$argon2d$v=19$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$q8GmWt1VhoIHx6jP1k9sV3hz6bB9V2QssUGRU1eOj/k",
        "$argon2i$v=19$m=512,t=2,p=2$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ",
    ];

    #[test]
    fn hashes_of_the_reference_implementation_verify() {
        for text in FROM_C {
            let hash = Argon2Hash::read(text).unwrap();
            let mut scratch = Scratch::default();
            assert_eq!(hash.matches(None, HORSE, &mut scratch), Ok(true), "{text}");
            assert_eq!(
                hash.matches(None, b"correct horsf", &mut scratch),
                Ok(false),
                "{text}"
            );
        }
    }

    #[test]
    fn a_parsed_string_is_written_unchanged() {
        let peppered = "$argon2id$v=19$m=64,t=2,p=2,keyid=djE$c2FsdHNhbHQ$kl2rEp9rpHj4Dk+NG4D5YQ";
        for text in FROM_C.into_iter().chain([peppered]) {
            assert_eq!(*Argon2Hash::read(text).unwrap().encode(), text);
        }
    }

    #[test]
    fn a_string_without_a_version_is_of_version_16() {
        let text = FROM_C[2].replace("$v=16", "");
        let hash = Argon2Hash::read(&text).unwrap();
        assert_eq!(hash.matches(None, HORSE, &mut Scratch::default()), Ok(true));
    }

    #[test]
    fn the_same_memory_can_be_reused_with_other_parameters() {
        let mut scratch = Scratch::default();
        for text in FROM_C.iter().chain(FROM_C.iter().rev()) {
            let hash = Argon2Hash::read(text).unwrap();
            assert_eq!(hash.matches(None, HORSE, &mut scratch), Ok(true), "{text}");
        }
    }

    #[test]
    fn each_weaker_part_is_found_and_a_stronger_one_is_not() {
        let policy = Argon2Params::new(64, 2, 2);
        let weaker = |text: &str| Argon2Hash::read(text).unwrap().is_weaker_than(policy);
        let good = FROM_C[1];
        assert!(!weaker(good));
        assert!(!weaker(&good.replace("m=64,t=2,p=2", "m=128,t=3,p=4")));
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("m=64", "m=63"),
            ("t=2", "t=1"),
            ("p=2", "p=1"),
            ("c2FsdHNhbHRzYWx0c2FsdA", "c2FsdHNhbHRzYWx0c2Fs"),
            ("L/T0Tk68lSWQP232iGGbb+Qa5Y", "L/T0Tk68lSWQP232iGGbb+Q"),
        ] {
            assert!(weaker(&good.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for bad in [
            "m=+64", "m=064", "m=", "m=6 4", "m=-1", "t=64", "m=0", "m=٣",
        ] {
            let text = FROM_C[1].replace("m=64", bad);
            assert!(matches!(
                Argon2Hash::read(&text),
                Err(PasswordError::InvalidHash { .. })
            ));
        }
        let text = FROM_C[1].replace("m=64", "m=99999999999999999999999");
        assert_eq!(
            Argon2Hash::read(&text).err(),
            Some(PasswordError::CostTooHigh)
        );
    }
}
