//! [`KeySet`]: several keys to verify with, and [`KeySource`]: the trait for keys that change over time.

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::health::KeySourceHealth;
use super::jwk::shown;
use super::pem::looks_like_path;
use super::verifying::VerifyingKey;
use crate::error::{AuthError, ConfigError};

/// A set of keys to verify with. They differ in key id or algorithm.
///
/// A token is verified with the one key that its header selects; keys are never tried in turn (RFC 8725
/// section 3.1):
///
/// - If a key has the `kid` of the token, that key is used, but only if it has the token's `alg`.
/// - If the token has no `kid`, the key with the token's `alg` is used, if there is exactly one.
/// - If the token has a `kid` that no key has, the key with the token's `alg` is used, if there is exactly one
///   and its id was not set by [`with_key_id`](VerifyingKey::with_key_id) or a JWK. If the set acts as a
///   [`KeySource`], the key is unknown in this case, so that a source around it fetches newer keys.
///
/// ```
/// use tower_jwt_auth::{Algorithm, SigningKey};
/// use tower_jwt_auth::keys::KeySet;
///
/// let current = SigningKey::generate(Algorithm::ES256)?;
/// let previous = SigningKey::generate(Algorithm::ES256)?;
/// let keys = KeySet::new([current.verifying_key(), previous.verifying_key()])?;
/// assert_eq!(keys.len(), 2);
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

/// What a [`KeySource`] knows about the key of a token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KeyLookup {
    /// This is the key.
    Found(VerifyingKey),
    /// No key fits now, but [`refresh`](KeySource::refresh) may find one.
    UnknownKey,
    /// Several keys fit, and nothing tells them apart: the token is refused at once.
    Ambiguous,
    /// The key with this id has another algorithm. It may have been replaced by one with the same id, so
    /// [`refresh`](KeySource::refresh) is called before the token is refused.
    OtherAlgorithm,
    /// No key has this algorithm, and no key ever will: the token is refused at once.
    UnsupportedAlgorithm,
}

/// A source of keys: a [`KeySet`], a [`KeyRing`](crate::KeyRing), or a source of your own whose keys change
/// over time.
///
/// # Security
///
/// `key_id` and `algorithm` come from an unverified header. Use them only to choose among keys that are
/// already trusted. The `key_id` can be any string of at most 256 bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of keys",
    note = "keys that never change go to `TokenVerifier::builder`; keys of a provider come from \
            `TokenVerifierBuilder::discover`; a source of your own implements `KeySource` and `Debug`"
)]
pub trait KeySource: Debug + Send + Sync + 'static {
    /// Returns the key for a token from memory. It is called for each token, so it must neither block nor
    /// wait.
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup;

    /// Fetches newer keys before a token is refused because of its key. Afterwards, [`find`](Self::find) is
    /// called again. By default, it does nothing.
    ///
    /// It is called if [`find`](Self::find) returns [`UnknownKey`](KeyLookup::UnknownKey) or
    /// [`OtherAlgorithm`](KeyLookup::OtherAlgorithm), or if the key that it has found does not verify the
    /// signature: the key may have been replaced by one with the same id.
    ///
    /// # Security
    ///
    /// Anybody can cause a call with a made-up key id or a forged signature, so limit how often it does any
    /// work.
    ///
    /// # Errors
    ///
    /// Return [`Unavailable`](crate::AuthErrorKind::Unavailable) if the keys cannot be fetched now and
    /// another key might exist. The request is then answered with 503.
    fn refresh(&self, key_id: Option<&str>) -> impl Future<Output = Result<(), AuthError>> + Send {
        let _ = key_id;
        std::future::ready(Ok(()))
    }

    /// Returns the state of the source, for [`TokenVerifier::health`](crate::TokenVerifier::health). By
    /// default, it returns `None`, which is right for keys that never change.
    fn health(&self) -> Option<KeySourceHealth> {
        None
    }
}

/// The dyn-compatible counterpart of [`KeySource`].
pub(crate) trait DynKeySource: Debug + Send + Sync {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup;
    fn refresh<'a>(&'a self, key_id: Option<&'a str>) -> KeyRefresh<'a>;
    fn health(&self) -> Option<KeySourceHealth>;
}

/// The boxed future of [`DynKeySource::refresh`].
type KeyRefresh<'a> = Pin<Box<dyn Future<Output = Result<(), AuthError>> + Send + 'a>>;

impl<K: KeySource> DynKeySource for K {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        KeySource::find(self, key_id, algorithm)
    }

    fn refresh<'a>(&'a self, key_id: Option<&'a str>) -> KeyRefresh<'a> {
        Box::pin(KeySource::refresh(self, key_id))
    }

    fn health(&self) -> Option<KeySourceHealth> {
        KeySource::health(self)
    }
}

/// The reason why no key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyMiss {
    UnknownKey,
    Ambiguous,
    OtherAlgorithm,
    UnsupportedAlgorithm,
}

// === impl KeySet ===

impl KeySet {
    /// Makes a set of these keys.
    ///
    /// # Errors
    ///
    /// Fails if there are no keys, or if two of them have the same key id and algorithm.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, ConfigError> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(ConfigError::NoKeys);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| same_name(key, other)) {
                return Err(ConfigError::DuplicateKeyId(key.key_id().to_owned()));
            }
        }
        Ok(Self { keys, skipped: 0 })
    }

    /// Reads the keys of a JWK set (RFC 7517 section 5).
    ///
    /// A key that this crate cannot use, because it is of another kind, for encryption, too weak or broken,
    /// is [skipped](Self::skipped), as RFC 7517 section 5 requires. So is a duplicate of another key.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a JWK set, if none of its keys can be used (the error says why for each), or
    /// if two different keys have the same key id and algorithm.
    pub fn from_jwks(json: &str) -> Result<Self, ConfigError> {
        Self::read_jwks(json, VerifyingKey::from_jwk)
    }

    /// Reads the keys for JWT-SVIDs from a SPIFFE trust bundle (SPIFFE Trust Domain and Bundle, section 4).
    ///
    /// The bundle is a JWK set whose keys have `use: jwt-svid`, and usually no `alg`. RSA keys are then used
    /// for RS256, and EC keys for the algorithm of their curve. Keys with any other `use` are
    /// [skipped](Self::skipped).
    ///
    /// # Security
    ///
    /// The keys belong to one trust domain and must not be trusted for another one. Fetch the bundle over an
    /// authenticated channel, as often as its `spiffe_refresh_hint` says.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`from_jwks`](Self::from_jwks), and if no key is for JWT-SVIDs.
    pub fn from_spiffe_bundle(json: &str) -> Result<Self, ConfigError> {
        Self::read_jwks(json, |key| {
            let for_svid = match serde_json::from_str::<Value>(key) {
                Ok(Value::Object(mut members))
                    if members.get("use").and_then(Value::as_str) == Some("jwt-svid") =>
                {
                    members.remove("use");
                    Value::Object(members).to_string()
                }
                Ok(_) => {
                    return Err(ConfigError::invalid(
                        "the key is not for JWT-SVIDs: its `use` is not `jwt-svid`",
                    ));
                }
                Err(_) => key.to_owned(),
            };
            VerifyingKey::from_jwk(&for_svid)
        })
    }

    /// Reads a JWK set, and each of its keys by `read`.
    pub(crate) fn read_jwks(
        json: &str,
        read: impl Fn(&str) -> Result<VerifyingKey, ConfigError>,
    ) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct JwkSet<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let json = json.trim_start_matches('\u{feff}');
        let set: JwkSet<'_> = serde_json::from_str(json)
            .map_err(|_| ConfigError::Invalid(format!("the JWK set {}", not_a_set(json))))?;
        let (mut keys, mut reasons) = (Vec::<(VerifyingKey, &str)>::new(), Vec::new());
        for (index, text) in set.keys.iter().map(|key| key.get()).enumerate() {
            let key = match read(text) {
                Ok(key) => key,
                Err(error) => {
                    reasons.push(why_skipped(index, text, &error));
                    continue;
                }
            };
            match keys.iter().find(|(other, _)| same_name(&key, other)) {
                None => keys.push((key, text)),
                Some((other, other_text)) => {
                    let same = key.to_jwk().is_some() && key.to_jwk() == other.to_jwk();
                    if !same && text != *other_text {
                        return Err(ConfigError::DuplicateKeyId(key.key_id().to_owned()));
                    }
                }
            }
        }
        if keys.is_empty() {
            return Err(if reasons.is_empty() {
                ConfigError::NoKeys
            } else {
                ConfigError::NoUsableKey(reasons)
            });
        }
        Ok(Self {
            skipped: set.keys.len() - keys.len(),
            keys: keys.into_iter().map(|(key, _)| key).collect(),
        })
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the number of keys of the JWK set that are not in this set: unusable ones, and duplicates of
    /// others.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Returns the keys, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, VerifyingKey> {
        self.keys.iter()
    }

    /// Returns the public keys as a JWK set, ready to be served. HMAC secrets are left out.
    #[must_use]
    pub fn to_jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().filter_map(VerifyingKey::to_jwk).collect::<Vec<_>>() })
    }

    /// Makes a set of keys whose ids are known to differ.
    pub(super) fn of(keys: Vec<VerifyingKey>) -> Self {
        Self { keys, skipped: 0 }
    }

    pub(crate) fn lookup(&self, key_id: Option<&str>, alg: &str) -> Result<&VerifyingKey, KeyMiss> {
        choose(self.keys.iter(), key_id, alg)
    }
}

impl<'a> IntoIterator for &'a KeySet {
    type Item = &'a VerifyingKey;
    type IntoIter = std::slice::Iter<'a, VerifyingKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<VerifyingKey> for KeySet {
    fn from(key: VerifyingKey) -> Self {
        Self {
            keys: vec![key],
            skipped: 0,
        }
    }
}

impl KeySource for KeySet {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        find_among(self.keys.iter(), key_id, algorithm)
    }
}

/// Looks up a token's key among the keys of a source.
pub(super) fn find_among<'k>(
    keys: impl Iterator<Item = &'k VerifyingKey> + Clone,
    key_id: Option<&str>,
    alg: &str,
) -> KeyLookup {
    match choose(keys, key_id, alg) {
        Ok(key) if key_id.is_none_or(|key_id| key_id == key.key_id()) => {
            KeyLookup::Found(key.clone())
        }
        Ok(_) | Err(KeyMiss::UnknownKey) => KeyLookup::UnknownKey,
        Err(KeyMiss::Ambiguous) => KeyLookup::Ambiguous,
        Err(KeyMiss::OtherAlgorithm) => KeyLookup::OtherAlgorithm,
        // A key that is not known yet may have another algorithm.
        Err(KeyMiss::UnsupportedAlgorithm) if key_id.is_some() => KeyLookup::UnknownKey,
        Err(KeyMiss::UnsupportedAlgorithm) => KeyLookup::UnsupportedAlgorithm,
    }
}

/// Chooses the one key for a token.
fn choose<'k>(
    keys: impl Iterator<Item = &'k VerifyingKey> + Clone,
    key_id: Option<&str>,
    alg: &str,
) -> Result<&'k VerifyingKey, KeyMiss> {
    if let Some(key_id) = key_id {
        let named = keys.clone().filter(|key| key.key_id() == key_id);
        let mut named = named.peekable();
        if named.peek().is_some() {
            return match only(named.filter(|key| key.algorithm().accepts(alg))) {
                Only::One(key) => Ok(key),
                Only::None => Err(KeyMiss::OtherAlgorithm),
                Only::Many => Err(KeyMiss::Ambiguous),
            };
        }
    }
    match only(keys.filter(|key| key.algorithm().accepts(alg))) {
        Only::One(key) if key_id.is_none() || !key.has_declared_id() => Ok(key),
        Only::Many if key_id.is_none() => Err(KeyMiss::Ambiguous),
        Only::One(_) | Only::Many => Err(KeyMiss::UnknownKey),
        Only::None => Err(KeyMiss::UnsupportedAlgorithm),
    }
}

/// Says what a text that is not a JWK set is instead, and what to do.
pub(crate) fn not_a_set(text: &str) -> String {
    let text = text.trim();
    let said = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) if members.contains_key("kty") => {
            "is one key: put it into an array, `{\"keys\": [...]}`, or load it with `from_jwk`"
        }
        Ok(Value::Object(members)) if members.contains_key("jwks_uri") => {
            "is the metadata of an issuer: use the URL in its `jwks_uri`, or `TokenVerifierBuilder::discover`"
        }
        Ok(Value::Object(members)) if members.contains_key("keys") => {
            "has a member `keys` that is not an array, or has it twice"
        }
        Ok(Value::Array(_)) => "is an array: put it into an object, `{\"keys\": [...]}`",
        Ok(_) => "has no array `keys` (RFC 7517 section 5)",
        Err(_) if text.is_empty() => "is empty: expected an object with an array `keys`",
        Err(_) if text.starts_with('<') => {
            "is HTML or XML, not JSON: check the address or file that it comes from"
        }
        Err(_) if text.contains("-----BEGIN ") => "is PEM, not JSON: load the key with `from_pem`",
        Err(_) if text.starts_with("http://") || text.starts_with("https://") => {
            "is a URL, not a key set: keys that are served somewhere are fetched by `jwks::RemoteJwks::builder_at`"
        }
        Err(_) if looks_like_path(text) => {
            "is not JSON but looks like the path of a file: give the text that the file has"
        }
        Err(error) => {
            // The parser's own message may quote a key.
            let (line, column) = (error.line(), error.column());
            return format!(
                "is not JSON (line {line}, column {column}): expected an object with an array `keys` (RFC \
                 7517 section 5)"
            );
        }
    };
    said.to_owned()
}

/// Says why a key of a JWK set is not used: its number, its `kid` if it has one, and the reason.
pub(crate) fn why_skipped(index: usize, text: &str, error: &ConfigError) -> String {
    #[derive(Deserialize)]
    struct Named<'a> {
        kid: Cow<'a, str>,
    }
    let number = index + 1;
    match serde_json::from_str::<Named<'_>>(text) {
        Ok(Named { kid }) => format!("key {number} (`{}`): {error}", shown(&kid)),
        Err(_) => format!("key {number}: {error}"),
    }
}

enum Only<T> {
    None,
    One(T),
    Many,
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Only<T> {
    match (items.next(), items.next()) {
        (None, _) => Only::None,
        (Some(one), None) => Only::One(one),
        (Some(_), Some(_)) => Only::Many,
    }
}

fn same_name(a: &VerifyingKey, b: &VerifyingKey) -> bool {
    a.key_id() == b.key_id() && a.algorithm() == b.algorithm()
}
