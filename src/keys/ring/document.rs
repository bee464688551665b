//! [`Document`]: the content of a ring's file, a JWK set of private keys, read strictly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::file::KeyFile;
use super::life::Life;
use super::snapshot::Snapshot;
use super::{check, no_such_key};
use crate::error::ConfigError;
use crate::keys::SigningKey;

/// The keys of a file in the order in which they were added, and all other members of it.
#[derive(Default)]
pub(super) struct Document {
    keys: Vec<FileKey>,
    /// The members other than `keys`, as JSON.
    rest: BTreeMap<String, String>,
}

struct FileKey {
    key: SigningKey,
    life: Life,
    /// The members of the JWK, as JSON.
    members: BTreeMap<String, Zeroizing<String>>,
}

/// The members of an object, as JSON text.
type Members<'t> = BTreeMap<Cow<'t, str>, &'t RawValue>;

// === impl Document ===

impl Document {
    /// Reads the text of a file.
    pub(super) fn parse(file: &KeyFile, text: &str) -> Result<Self, ConfigError> {
        let set: Members<'_> = serde_json::from_str(text).map_err(|error| {
            // The parser's own message may quote the keys.
            let (line, column) = (error.line(), error.column());
            file.wrong(&format!("is not a JSON object (line {line}, column {column}): expected a JWK set with private keys (RFC 7517 section 5)"))
        })?;
        let keys = set.get("keys").map(|keys| keys.get()).unwrap_or_default();
        let keys: Vec<&RawValue> = serde_json::from_str(keys).map_err(|_| {
            file.wrong("has no array `keys` (RFC 7517 section 5): put its keys into one")
        })?;
        let keys = keys.into_iter().enumerate().map(|(index, jwk)| {
            let key = FileKey::parse(jwk.get());
            key.map_err(|error| {
                file.wrong(&format!("has a bad key, number {}: {error}", index + 1))
            })
        });
        let document = Self {
            keys: keys.collect::<Result<_, _>>()?,
            rest: set
                .into_iter()
                .filter(|(name, _)| name != "keys")
                .map(|(name, value)| (name.into_owned(), value.get().to_owned()))
                .collect(),
        };
        check(document.key_ids())
            .map_err(|error| file.wrong(&format!("cannot be used: {error}")))?;
        Ok(document)
    }

    pub(super) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|one| one.key.key_id())
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        let younger = (0..self.keys.len()).rev();
        let keys = self.keys.iter().zip(younger);
        keys.map(|(one, younger)| Life {
            younger,
            ..one.life
        })
        .collect()
    }

    pub(super) fn snapshot(&self, digest: Option<String>) -> Snapshot {
        let keys = self.keys.iter().map(|one| one.key.clone());
        let keys = keys.zip(self.lives());
        Snapshot {
            digest,
            ..Snapshot::new(keys.collect())
        }
    }

    pub(super) fn add(&mut self, key: &SigningKey, from: u64, now: u64) -> Result<(), ConfigError> {
        self.push(&key.to_private_jwk()?, from, now)
    }

    /// Adds a key that is a private JWK.
    pub(super) fn push(&mut self, jwk: &str, from: u64, now: u64) -> Result<(), ConfigError> {
        let mut key = FileKey::parse(jwk)?;
        key.set("iat", now);
        key.set("nbf", from);
        key.life.from = from;
        self.keys.push(key);
        Ok(())
    }

    pub(super) fn activate(&mut self, key_id: &str, from: u64) -> Result<(), ConfigError> {
        // Of several keys with the same time, the last one signs.
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

    /// Drops the keys for which `is_forgotten` returns `true`. It is given their index in the order of
    /// activation. The other keys stay in the order in which they were added.
    pub(super) fn forget(&mut self, is_forgotten: impl Fn(&[Life], usize) -> bool) {
        let lives = self.lives();
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|place| lives[*place].from);
        let lives: Vec<Life> = order.iter().map(|place| lives[*place]).collect();
        let mut forgotten = vec![false; order.len()];
        for (index, place) in order.into_iter().enumerate() {
            forgotten[place] = is_forgotten(&lives, index);
        }
        let mut forgotten = forgotten.into_iter();
        self.keys.retain(|_| forgotten.next() != Some(true));
    }

    fn place(&self, key_id: &str) -> Result<usize, ConfigError> {
        self.key_ids()
            .position(|one| one == key_id)
            .ok_or_else(|| no_such_key(key_id))
    }

    /// Writes the text of the file, one member per line.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let members = self.keys.iter().flat_map(|one| &one.members);
        let long = members.map(|(name, value)| name.len() + value.len() + 32);
        let rest = self
            .rest
            .iter()
            .map(|(name, value)| name.len() * 6 + value.len() + 32);
        // Allocates enough at once, because growing would leave copies of the keys in memory.
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
        let members: Members<'_> = serde_json::from_str(jwk)
            .map_err(|_| bad("it is not a JSON Web Key, or has a duplicate member"))?;
        let times: Times = serde_json::from_str(jwk).map_err(|_| {
            bad("its `nbf`, `exp` and `iat` must be numbers: seconds since 1970 (NumericDate)")
        })?;
        let mut life = Life::ALWAYS;
        if let Some(from) = times.nbf {
            life.from = seconds(from).ok_or_else(|| {
                bad("its `nbf` is not a time: write seconds since 1970, up to the year 9999")
            })?;
        }
        if let Some(ends) = times.exp {
            life.ends = Some(seconds(ends).ok_or_else(|| {
                bad("its `exp` is not a time: write seconds since 1970, up to the year 9999")
            })?);
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

/// Returns whole seconds, rounded up, or `None` if the time is not between 1970 and the year 9999.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range
fn seconds(time: f64) -> Option<u64> {
    (0.0..=253_402_300_799.0) // to the year 9999
        .contains(&time)
        .then(|| time.ceil() as u64)
}
