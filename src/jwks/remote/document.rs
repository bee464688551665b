//! [`RemoteKeys`]: the usable keys of a document that a provider serves.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::from_json;
use crate::error::ConfigError;
use crate::keys::{Algorithm, KeyLookup, VerifyingKey, not_a_set, replaced, why_skipped};

/// The most keys that are read, which is more than any provider has. Each key costs memory, and a comparison
/// per look-up.
pub(super) const MAX_KEYS: usize = 100;

/// The usable keys of one document.
#[derive(Debug, Default)]
pub(super) struct RemoteKeys {
    keys: Vec<RemoteKey>,
    /// The number of keys of the document that cannot be used.
    pub(super) skipped: usize,
    /// Why each of them cannot be used.
    pub(super) skipped_reasons: Vec<String>,
}

#[derive(Debug, Clone)]
struct RemoteKey {
    key: VerifyingKey,
    /// The text of the key. A key that is served again unchanged stays the same object.
    text: Box<str>,
}

/// The rules by which keys of a document are accepted.
#[derive(Debug, Clone)]
pub(super) struct KeyRules {
    pub(super) algorithms: Box<[Algorithm]>,
}

// === impl KeyRules ===

impl KeyRules {
    /// Returns the algorithm for RSA keys without an `alg`: the one RSA algorithm that is allowed, or RS256
    /// if there are several.
    fn rsa_algorithm(&self) -> Option<Algorithm> {
        let mut rsa = self.algorithms.iter().filter(|one| one.is_rsa());
        match (rsa.next(), rsa.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        }
    }

    fn read(&self, text: &str) -> Result<VerifyingKey, ConfigError> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            kty: &'a str,
        }
        if serde_json::from_str::<Kind<'_>>(text).is_ok_and(|key| key.kty == "oct") {
            return Err(ConfigError::Invalid(
                "the key is a secret (`kty` is `oct`), and anybody who can read a secret can sign with it: only public \
                 keys are taken from a server"
                    .to_owned(),
            ));
        }
        let key = match (VerifyingKey::from_jwk(text), self.rsa_algorithm()) {
            // The algorithm only applies to a key that does not name one itself.
            (Ok(key), Some(rsa)) if key.algorithm().is_rsa() => {
                VerifyingKey::from_jwk_or(Some(rsa), text)?
            }
            (key, _) => key?,
        };
        if self.algorithms.contains(&key.algorithm()) {
            return Ok(key);
        }
        let allowed: Vec<_> = self.algorithms.iter().map(|one| one.as_str()).collect();
        Err(ConfigError::Invalid(format!(
            "the key is for {}, but only these are allowed: {}",
            key.algorithm(),
            allowed.join(" ")
        )))
    }
}

// === impl RemoteKeys ===

impl RemoteKeys {
    /// Reads a JWK set (RFC 7517 section 5).
    ///
    /// # Errors
    ///
    /// Says why the document as a whole cannot be used.
    pub(super) fn read(body: &[u8], rules: &KeyRules, known: &Self) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwkSet<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let set: JwkSet<'_> = from_json(body)
            .ok_or_else(|| format!("the response {}", not_a_set(&String::from_utf8_lossy(body))))?;
        if set.keys.len() > MAX_KEYS {
            let count = set.keys.len();
            return Err(format!(
                "the JWK set has {count} keys, and no more than {MAX_KEYS} are read"
            ));
        }
        let mut keys: Vec<RemoteKey> = Vec::new();
        let mut reasons = Vec::new();
        for (index, text) in set.keys.iter().map(|raw| raw.get()).enumerate() {
            let unchanged = known.keys.iter().find(|key| *key.text == *text);
            let read = || {
                let (key, text) = (rules.read(text)?, text.into());
                Ok(RemoteKey { key, text })
            };
            let key = match unchanged.cloned().map_or_else(read, Ok) {
                Ok(key) => key,
                Err(error) => {
                    reasons.push(why_skipped(index, text, &error));
                    continue;
                }
            };
            // Duplicates of a key are ignored.
            if !keys.iter().any(|other| other.is_same_key(&key)) {
                keys.push(key);
            }
        }
        // If two keys have the same id and algorithm, a token cannot say which of them it means, so neither
        // is used.
        let names: Vec<_> = keys.iter().map(RemoteKey::name).collect();
        let is_alone = |key: &&RemoteKey| {
            let name = key.name();
            names.iter().filter(|&&other| other == name).count() == 1
        };
        for key in keys.iter().filter(|key| !is_alone(key)) {
            let key_id = key.key.key_id().to_owned();
            reasons.push(ConfigError::DuplicateKeyId(key_id).to_string());
        }
        let keys: Vec<_> = keys.iter().filter(is_alone).cloned().collect();
        if keys.is_empty() {
            return Err(match reasons.is_empty() {
                true => "the JWK set is empty: its `keys` has no element".into(),
                false => ConfigError::NoUsableKey(reasons).to_string(),
            });
        }
        Ok(Self {
            skipped: set.keys.len() - keys.len(),
            skipped_reasons: reasons,
            keys,
        })
    }

    /// Returns the ids whose keys were replaced.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<String> {
        let key_id = |key: &RemoteKey| key.key.key_id().to_owned();
        replaced(&before.keys, &self.keys, key_id, RemoteKey::is_same_key)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the keys that a token with this key id, or without one, can mean.
    pub(super) fn named<'k>(
        &'k self,
        key_id: Option<&'k str>,
    ) -> impl Iterator<Item = &'k VerifyingKey> {
        let keys = self.keys.iter().map(|key| &key.key);
        keys.filter(move |key| key_id.is_none_or(|key_id| key.key_id() == key_id))
    }

    /// Looks up the key for a token. An unknown key id may be that of a new key with any algorithm.
    pub(super) fn find(&self, key_id: Option<&str>, alg: &str) -> KeyLookup {
        let mut fitting = self
            .named(key_id)
            .filter(|key| key.algorithm().accepts(alg));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => KeyLookup::Found(only.clone()),
            (Some(_), Some(_)) => KeyLookup::Ambiguous,
            (None, _) if key_id.is_some() && self.named(key_id).next().is_some() => {
                KeyLookup::OtherAlgorithm
            }
            (None, _) => KeyLookup::UnknownKey,
        }
    }
}

impl RemoteKey {
    /// Returns what identifies a key. `EdDSA` and `Ed25519` are two names of one algorithm (RFC 9864).
    fn name(&self) -> (&str, Algorithm) {
        let algorithm = match self.key.algorithm() {
            Algorithm::Ed25519 => Algorithm::EdDSA,
            other => other,
        };
        (self.key.key_id(), algorithm)
    }

    fn is_same_key(&self, other: &Self) -> bool {
        self.name() == other.name() && self.key.to_jwk() == other.key.to_jwk()
    }
}
