//! Reads the keys of a configuration from secrets, PEM, JWKs and JWK sets.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::AuthConfig;
use super::problem::named;
use super::secret::Secret;
use crate::error::ConfigError;
use crate::issuer::IssuerKeys;
use crate::keys::{
    Algorithm, DEFAULT_RETIRE_FOR, KeyRing, KeySet, SigningKey, VerifyingKey, shown,
};
use crate::policy::MAX_LEEWAY;

/// The key that signs, and the keys that verify.
pub(super) struct KeyMaterial {
    pub(super) main: MainKeys,
    pub(super) previous: Vec<VerifyingKey>,
    /// All verifying keys, as of now.
    pub(super) verifying: KeySet,
}

/// The key that signs or, if there is none, the keys that verify.
pub(super) enum MainKeys {
    Signing(IssuerKeys),
    Verifying(Vec<VerifyingKey>),
}

impl KeyMaterial {
    pub(super) fn new(main: MainKeys, previous: Vec<VerifyingKey>) -> Result<Self, ConfigError> {
        let verifying = match &main {
            MainKeys::Signing(keys) => keys.key_set(&previous),
            MainKeys::Verifying(keys) => {
                KeySet::new(keys.iter().cloned())
                    .map_err(|error| named("JWT_PUBLIC_KEY", &error))?;
                KeySet::new(keys.iter().chain(&previous).cloned())
            }
        };
        let verifying = verifying.map_err(|error| named("JWT_PREVIOUS_KEYS", &error))?;
        Ok(Self {
            main,
            previous,
            verifying,
        })
    }
}

impl AuthConfig {
    pub(super) fn key_material(&self) -> Result<KeyMaterial, ConfigError> {
        let main = self.main_keys()?;
        let previous = self
            .previous_keys
            .as_ref()
            .map(|text| self.previous_keys(text));
        KeyMaterial::new(main, previous.transpose()?.unwrap_or_default())
    }

    /// Reads the key to sign with, or the keys that only verify.
    pub(super) fn main_keys(&self) -> Result<MainKeys, ConfigError> {
        let key_id = self.key_id.as_deref();
        let one_key = [&self.secret, &self.private_key, &self.public_key];
        if let Some(path) = &self.key_ring_file {
            if one_key.into_iter().any(Option::is_some) || key_id.is_some() {
                return Err(ConfigError::invalid(
                    "JWT_KEY_RING_FILE excludes JWT_SECRET, JWT_PRIVATE_KEY, JWT_PUBLIC_KEY and \
                     JWT_KEY_ID: set only the file (older keys go into JWT_PREVIOUS_KEYS)",
                ));
            }
            return Ok(MainKeys::Signing(self.key_ring(path)?.into()));
        }
        match (&self.secret, &self.private_key, &self.public_key) {
            (Some(secret), None, None) => {
                let algorithm = self.algorithm()?.unwrap_or(Algorithm::HS256);
                let key = with_id(SigningKey::from_secret(algorithm, secret.bytes()), key_id);
                let key = key.map_err(|error| named("JWT_SECRET", &error))?;
                if secret.bytes().iter().any(u8::is_ascii_whitespace) {
                    // Previous secrets are separated by white space, so it could not become one later.
                    return Err(ConfigError::invalid(
                        "JWT_SECRET contains white space: remove it, or make a secret without any with \
                         `openssl rand -base64 48` (older secrets go into JWT_PREVIOUS_KEYS)",
                    ));
                }
                Ok(MainKeys::Signing(key.into()))
            }
            (None, Some(private), None) => {
                let key = with_id(self.private_key(private), key_id);
                let key = key.map_err(|error| named("JWT_PRIVATE_KEY", &error))?;
                Ok(MainKeys::Signing(key.into()))
            }
            (None, None, Some(public)) => {
                let keys = self.public_keys(public);
                let keys = keys.map_err(|error| named("JWT_PUBLIC_KEY", &error))?;
                Ok(MainKeys::Verifying(keys))
            }
            (None, None, None) => Err(ConfigError::invalid(
                "there is no key: set JWT_SECRET (make one with `openssl rand -base64 48`), \
                 JWT_PRIVATE_KEY or JWT_KEY_RING_FILE, or JWT_PUBLIC_KEY to verify only",
            )),
            _ => Err(ConfigError::invalid(
                "JWT_SECRET, JWT_PRIVATE_KEY and JWT_PUBLIC_KEY exclude each other: set one \
                 (older keys go into JWT_PREVIOUS_KEYS)",
            )),
        }
    }

    /// Reads the ring in the file. With `JWT_ROTATE_KEYS`, a missing file is created.
    fn key_ring(&self, path: &str) -> Result<KeyRing, ConfigError> {
        let mut ring = KeyRing::builder().file(path);
        let lifetimes = [self.access_ttl, self.refresh_ttl];
        if let Some(longest) = lifetimes.into_iter().flatten().max() {
            let needed = Duration::from_secs(longest).saturating_add(MAX_LEEWAY);
            ring = ring.retire_for(DEFAULT_RETIRE_FOR.max(needed));
        }
        if let Some(name) = &self.rotate_keys {
            let algorithm = Algorithm::from_str(name);
            ring = ring.auto_rotate(algorithm.map_err(|error| named("JWT_ROTATE_KEYS", &error))?);
        }
        ring.build()
            .map_err(|error| named("JWT_KEY_RING_FILE", &error))
    }

    pub(super) fn algorithm(&self) -> Result<Option<Algorithm>, ConfigError> {
        let name = self.algorithm.as_deref();
        name.map(Algorithm::from_str)
            .transpose()
            .map_err(|error| named("JWT_ALGORITHM", &error))
    }

    /// Returns the algorithm for a PEM key, which does not name one itself.
    fn pem_algorithm(&self) -> Result<Algorithm, ConfigError> {
        self.algorithm()?.ok_or_else(|| {
            ConfigError::invalid(
                "a PEM key needs JWT_ALGORITHM: set it to EdDSA, ES256, ES384, RS256 or PS256",
            )
        })
    }

    fn private_key(&self, text: &Secret) -> Result<SigningKey, ConfigError> {
        if has_symmetric_key(text) {
            return Err(ConfigError::invalid(
                "JWT_PRIVATE_KEY contains a symmetric key (`kty` is `oct`): put the secret itself into JWT_SECRET",
            ));
        }
        if is_jwk_set(text) {
            return Err(ConfigError::invalid(
                "JWT_PRIVATE_KEY is a JWK set: set it to the one key that signs, or name the file of the set in \
                 JWT_KEY_RING_FILE",
            ));
        }
        if text.is_json() {
            let key = SigningKey::from_jwk_or(self.algorithm()?, text.trimmed())?;
            return self.fits(key.algorithm()).map(|()| key);
        }
        SigningKey::from_pem(self.pem_algorithm()?, text.pem().as_bytes())
    }

    fn public_keys(&self, text: &Secret) -> Result<Vec<VerifyingKey>, ConfigError> {
        if has_symmetric_key(text) {
            return Err(ConfigError::invalid(
                "JWT_PUBLIC_KEY contains a symmetric key (`kty` is `oct`), which could sign as well as \
                 verify: put public keys here, and a secret into JWT_SECRET",
            ));
        }
        if is_jwk_set(text) {
            let algorithm = self.algorithm()?;
            let set = KeySet::read_jwks(text.trimmed(), |key| {
                let key = VerifyingKey::from_jwk_or(algorithm, key)?;
                self.fits(key.algorithm()).map(|()| key)
            })?;
            return self.selected(&set);
        }
        let keys = if text.is_json() {
            let key = VerifyingKey::from_jwk_or(self.algorithm()?, text.trimmed())?;
            self.fits(key.algorithm())?;
            vec![key]
        } else {
            pem_keys(self.pem_algorithm()?, text)?
        };
        match &self.key_id {
            Some(_) if keys.len() > 1 => Err(ConfigError::invalid(format!(
                "JWT_KEY_ID is the id of one key, but JWT_PUBLIC_KEY has {}: unset it, or move the other keys \
                 into JWT_PREVIOUS_KEYS",
                keys.len()
            ))),
            Some(key_id) => keys
                .into_iter()
                .map(|key| key.with_key_id(key_id))
                .collect(),
            None => Ok(keys),
        }
    }

    /// Returns the keys of a set, or the one that `JWT_KEY_ID` names.
    fn selected(&self, set: &KeySet) -> Result<Vec<VerifyingKey>, ConfigError> {
        let Some(key_id) = self.key_id.as_deref() else {
            return Ok(set.iter().cloned().collect());
        };
        let keys = set.iter().filter(|key| key.key_id() == key_id);
        let keys: Vec<_> = keys.cloned().collect();
        if keys.is_empty() {
            let ids = set
                .iter()
                .take(8)
                .map(|key| format!("`{}`", shown(key.key_id())));
            return Err(ConfigError::invalid(format!(
                "JWT_KEY_ID is `{}`, but no key of JWT_PUBLIC_KEY that can be used has this `kid`: set it to one of \
                 {}, or unset it to use all of them",
                shown(key_id),
                ids.collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(keys)
    }

    /// Checks that a key that names its own algorithm does not contradict `JWT_ALGORITHM`.
    fn fits(&self, algorithm: Algorithm) -> Result<(), ConfigError> {
        match self.algorithm()? {
            Some(other) if other != algorithm => Err(ConfigError::invalid(format!(
                "JWT_ALGORITHM is {other}, but the key is for {algorithm}: unset JWT_ALGORITHM, or set it to {algorithm}"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn previous_keys(&self, text: &Secret) -> Result<Vec<VerifyingKey>, ConfigError> {
        self.read_previous_keys(text)
            .map_err(|error| named("JWT_PREVIOUS_KEYS", &error))
    }

    fn read_previous_keys(&self, text: &Secret) -> Result<Vec<VerifyingKey>, ConfigError> {
        if text.is_json() {
            let rsa = self.algorithm()?.filter(|algorithm| algorithm.is_rsa());
            // Previous keys may have other algorithms. An RSA key that names none is for `JWT_ALGORITHM`.
            let read = |key: &str| {
                let read = VerifyingKey::from_jwk(key)?;
                match rsa {
                    Some(_) if read.algorithm().is_rsa() => VerifyingKey::from_jwk_or(rsa, key),
                    _ => Ok(read),
                }
            };
            if is_jwk_set(text) {
                let set = KeySet::read_jwks(text.trimmed(), read)?;
                return Ok(set.iter().cloned().collect());
            }
            return Ok(vec![read(text.trimmed())?]);
        }
        if text.trimmed().contains("-----BEGIN") {
            return pem_keys(self.pem_algorithm()?, text);
        }
        let algorithm = self.algorithm()?.unwrap_or(Algorithm::HS256);
        let secrets = text.trimmed().split_whitespace().map(|entry| {
            let named = entry
                .strip_prefix("kid=")
                .and_then(|named| named.split_once(':'));
            let (key_id, secret) = match named {
                Some((key_id, secret)) => (Some(key_id), secret),
                None => (None, entry),
            };
            let key = with_id(
                SigningKey::from_secret(algorithm, secret.as_bytes()),
                key_id,
            )?;
            Ok(key.verifying_key())
        });
        secrets.collect()
    }
}

fn is_jwk_set(text: &Secret) -> bool {
    text.is_json()
        && serde_json::from_str::<serde_json::Value>(text.trimmed())
            .is_ok_and(|value| value.get("keys").is_some())
}

/// Whether a JWK, or a key of a JWK set, is a secret.
fn has_symmetric_key(text: &Secret) -> bool {
    #[derive(Deserialize)]
    struct Kind<'a> {
        kty: Option<Cow<'a, str>>,
        #[serde(borrow)]
        k: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let is_symmetric = |key: &str| {
        serde_json::from_str::<Kind<'_>>(key)
            .is_ok_and(|key| key.kty.as_deref() == Some("oct") || key.k.is_some())
    };
    let text = text.trimmed();
    let set = serde_json::from_str::<Set<'_>>(text);
    is_symmetric(text) || set.is_ok_and(|set| set.keys.iter().any(|key| is_symmetric(key.get())))
}

/// Reads every public key of a text, each from its own PEM block.
fn pem_keys(algorithm: Algorithm, text: &Secret) -> Result<Vec<VerifyingKey>, ConfigError> {
    let (text, mut blocks) = (text.pem(), vec![String::new()]);
    for line in text.lines() {
        if let Some(block) = blocks.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
        if line.starts_with("-----END ") {
            blocks.push(String::new());
        }
    }
    let blocks = blocks.iter().filter(|block| !block.trim().is_empty());
    blocks
        .map(|block| VerifyingKey::from_pem(algorithm, block))
        .collect()
}

fn with_id(
    key: Result<SigningKey, ConfigError>,
    key_id: Option<&str>,
) -> Result<SigningKey, ConfigError> {
    match key_id {
        Some(key_id) => key?.with_key_id(key_id),
        None => key,
    }
}
