//! The settings of [`TokenVerifierBuilder`] for keys.

use std::sync::Arc;
use std::time::SystemTime;

use super::builder::TokenVerifierBuilder;
use super::joined::FurtherKeys;
use super::keys::Keys;
#[cfg(feature = "jwks")]
use super::preset::Preset;
use crate::error::ConfigError;
#[cfg(feature = "jwks")]
use crate::jwks::RemoteJwks;
use crate::keys::{KeySet, KeySource};

// === impl TokenVerifierBuilder ===

impl TokenVerifierBuilder {
    /// Sets the trusted keys: a [`VerifyingKey`](crate::VerifyingKey), or a
    /// [`KeySet`](crate::keys::KeySet) of several.
    pub fn keys(self, keys: impl Into<KeySet>) -> Self {
        self.with_keys(Keys::Fixed(keys.into()))
    }

    /// Sets a source of keys that change, such as a [`KeyRing`](crate::KeyRing) or your own
    /// [`KeySource`](crate::keys::KeySource).
    pub fn key_source(self, source: impl KeySource) -> Self {
        self.with_keys(Keys::Source(Arc::new(source)))
    }

    /// Verifies the tokens of an identity provider. Its keys are found through its metadata, fetched, and
    /// kept up to date: see [`jwks`](crate::jwks).
    ///
    /// `issuer` is the `iss` of its tokens, byte for byte. Unless they are set, the [issuer](Self::issuer)
    /// becomes this one, and the [profile](Self::profile) becomes
    /// [`Compatible`](super::TokenProfile::Compatible).
    ///
    /// ```no_run
    /// use tower_jwt_auth::TokenVerifier;
    ///
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// let verifier =
    ///     TokenVerifier::builder().discover("https://idp.example/").audience("api").build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn discover(mut self, issuer: impl Into<String>) -> Self {
        match RemoteJwks::builder(issuer).build() {
            Ok(keys) => self.remote_jwks(&keys),
            Err(problem) => {
                self.problem.get_or_insert(problem);
                self
            }
        }
    }

    /// Verifies the tokens of an identity provider, as [`discover`](Self::discover) does, with a key source
    /// that you have configured yourself: for example with another URL, another HTTP client, or fewer
    /// algorithms.
    ///
    /// ```no_run
    /// use tower_jwt_auth::TokenVerifier;
    /// use tower_jwt_auth::jwks::RemoteJwks;
    /// use tower_jwt_auth::verifier::TokenProfile;
    ///
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// let google = RemoteJwks::builder("https://accounts.google.com")
    ///     .allow_keys_from("https://www.googleapis.com")
    ///     .build()?;
    /// let verifier = TokenVerifier::builder()
    ///     .remote_jwks(&google)
    ///     .audience("123.apps.googleusercontent.com")
    ///     .profile(TokenProfile::IdToken)
    ///     .build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn remote_jwks(mut self, keys: &RemoteJwks) -> Self {
        if let Some(issuer) = keys.issuer()
            && self.issuers.is_empty()
        {
            self.issuers.push(issuer.into());
        }
        self.is_remote = true;
        self.with_keys(Keys::Source(Arc::new(keys.clone())))
    }

    /// Verifies the tokens of a well-known identity provider: sets its issuer, profile and claims, and
    /// fetches its keys unless keys were set before this call. See [`Preset`].
    ///
    /// ```no_run
    /// # #[cfg(feature = "jwks")]
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// use tower_jwt_auth::TokenVerifier;
    /// use tower_jwt_auth::verifier::Preset;
    ///
    /// let verifier = TokenVerifier::builder()
    ///     .preset(Preset::auth0("https://tenant.eu.auth0.com"))
    ///     .audience("https://api.example")
    ///     .build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn preset(mut self, preset: Preset) -> Self {
        if self.keys.is_none() {
            let keys = preset.remote().and_then(|keys| match keys {
                Some(keys) => keys.build().map(Some),
                None => Ok(None),
            });
            match keys {
                Ok(Some(keys)) => self = self.with_keys(Keys::Source(Arc::new(keys))),
                Ok(None) => {}
                Err(problem) => {
                    self.problem.get_or_insert(problem);
                }
            }
        }
        preset.apply(self)
    }

    /// Adds keys that are trusted in addition to the others, for an issuer with several sets of keys. Use it
    /// for example if the issuer has moved from a shared secret to published keys, and tokens that were signed
    /// with the secret are still valid.
    ///
    /// All keys form one set: a token is verified with the one key that its key id and algorithm select, and
    /// keys are never tried in turn. A token without a key id must fit exactly one of them.
    ///
    /// ```no_run
    /// # #[cfg(feature = "jwks")]
    /// # fn example(secret: &[u8]) -> Result<(), tower_jwt_auth::ConfigError> {
    /// use std::time::{Duration, SystemTime};
    /// use tower_jwt_auth::{SigningKey, TokenVerifier};
    ///
    /// let legacy = SigningKey::hs256(secret)?.verifying_key();
    /// let end_of_2026 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    /// let verifier = TokenVerifier::builder()
    ///     .discover("https://project.supabase.co/auth/v1")
    ///     .additional_keys_until(legacy, end_of_2026)
    ///     .audience("authenticated")
    ///     .build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    pub fn additional_keys(mut self, keys: impl Into<KeySet>) -> Self {
        let (keys, until) = (keys.into(), None);
        self.further_keys.push(FurtherKeys { keys, until });
        self
    }

    /// Adds keys that are trusted in addition to the others until the time `until`; see
    /// [`additional_keys`](Self::additional_keys). From then on, tokens that were signed with them are
    /// refused, even if they have not expired.
    pub fn additional_keys_until(mut self, keys: impl Into<KeySet>, until: SystemTime) -> Self {
        let (keys, until) = (keys.into(), Some(until));
        self.further_keys.push(FurtherKeys { keys, until });
        self
    }

    fn with_keys(mut self, keys: Keys) -> Self {
        if self.keys.replace(keys).is_some() {
            self.problem.get_or_insert_with(|| {
                ConfigError::invalid(
                    "the verifier has two sets or sources of keys: call one of `keys`, `key_source`, \
                     `discover` and `remote_jwks`, once. For several issuers, build one verifier for each and \
                     join them with `TokenVerifier::for_issuers`",
                )
            });
        }
        self
    }
}
