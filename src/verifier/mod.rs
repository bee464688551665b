//! [`TokenVerifier`]: from the text of a token to a [`VerifiedToken`], or the reason why not.

mod builder;
mod claim_rules;
mod directory;
mod doubt;
mod ended;
#[cfg(test)]
mod every_rule;
mod judge;
mod keys;
mod kind;
mod memory;
mod proof;
mod single;
mod typed;

pub use crate::policy::TokenProfile;
pub use builder::TokenVerifierBuilder;
pub(crate) use ended::World;
pub use ended::{LONGEST_UNJUDGED_STREAM, TokenEnd};
pub(crate) use judge::Credential;
pub(crate) use judge::Progress;
pub use judge::VerifiedToken;
pub use kind::CredentialKind;
#[cfg(feature = "cache")]
pub use memory::DEFAULT_CACHED_TOKENS;

use std::fmt;
use std::sync::Arc;

use crate::error::{AuthError, ConfigError};
#[cfg(feature = "jwks")]
use crate::jwks::RemoteJwks;
use crate::keys::{KeySet, KeySource, KeySourceHealth};
use directory::Directory;
use keys::Keys;
use single::Single;

/// Verifies tokens: form, header, key, signature, claims, revocation, in this order.
///
/// Cheap to clone, and made to be shared. Build one with [`builder`](Self::builder), or
/// take [`TokenIssuer::verifier`](crate::TokenIssuer::verifier) where the same service issues.
///
/// ```
/// use tower_jwt_auth::keys::{Algorithm, KeySet};
/// use tower_jwt_auth::{SigningKey, TokenIssuer, TokenVerifier};
/// use tower_jwt_auth::error::AuthErrorKind;
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let verifier = TokenVerifier::builder(key.verifying_key()).issuer("me").audience("api").build()?;
///
/// let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
/// let verified = verifier.verify_local(&tokens.access("alice").issue()?)?;
/// assert_eq!(verified.subject(), Some("alice"));
///
/// let refused = verifier.verify_local(&tokens.refresh("alice").issue()?).unwrap_err();
/// assert_eq!(refused.kind(), AuthErrorKind::WrongType);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenVerifier {
    issuers: Issuers,
}

#[derive(Clone)]
enum Issuers {
    One(Single),
    Many(Arc<Directory>),
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// Starts a verifier that trusts these keys: a [`VerifyingKey`](crate::VerifyingKey), or a [`KeySet`].
    pub fn builder(keys: impl Into<KeySet>) -> TokenVerifierBuilder {
        TokenVerifierBuilder::new(Keys::Fixed(keys.into()))
    }

    /// Starts a verifier that asks a source of your own for its keys.
    pub fn builder_with_source(source: impl KeySource) -> TokenVerifierBuilder {
        TokenVerifierBuilder::new(Keys::Source(Arc::new(source)))
    }

    /// Starts a verifier for the tokens of an identity provider, whose keys are found by its
    /// metadata, fetched, and kept up to date: see [`jwks`](crate::jwks).
    ///
    /// `issuer` is what its tokens have as `iss`, byte for byte. The [profile](TokenVerifierBuilder::profile) is
    /// [`Compatible`](TokenProfile::Compatible), unless said otherwise.
    ///
    /// ```no_run
    /// use tower_jwt_auth::TokenVerifier;
    ///
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// let verifier = TokenVerifier::from_issuer("https://idp.example/").audience("api").build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn from_issuer(issuer: impl Into<String>) -> TokenVerifierBuilder {
        match RemoteJwks::discover(issuer).build() {
            Ok(keys) => Self::from_remote(&keys),
            Err(problem) => {
                let none = Keys::Fixed(KeySet::default());
                TokenVerifierBuilder::remote(none, None, Some(problem))
            }
        }
    }

    /// The same, with keys that were set up in other ways: another address, another client,
    /// fewer algorithms.
    ///
    /// ```no_run
    /// use tower_jwt_auth::TokenVerifier;
    /// use tower_jwt_auth::jwks::RemoteJwks;
    /// use tower_jwt_auth::verifier::TokenProfile;
    ///
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// let google = RemoteJwks::discover("https://accounts.google.com")
    ///     .allow_keys_from("https://www.googleapis.com")
    ///     .build()?;
    /// let verifier = TokenVerifier::from_remote(&google)
    ///     .audience("123.apps.googleusercontent.com")
    ///     .profile(TokenProfile::IdToken)
    ///     .build()?;
    /// # let _ = verifier; Ok(()) }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn from_remote(keys: &RemoteJwks) -> TokenVerifierBuilder {
        let issuer = keys.issuer().map(str::to_owned);
        TokenVerifierBuilder::remote(Keys::Source(Arc::new(keys.clone())), issuer, None)
    }

    /// One verifier for the tokens of several issuers, each judged by its own verifier alone: its
    /// keys, algorithms, audiences, profile, revocations.
    ///
    /// The token's `iss`, still unverified, chooses which one (byte by byte); that one then
    /// verifies all of the token. A token of any other issuer, or of none, is refused with no I/O.
    ///
    /// ```
    /// use tower_jwt_auth::keys::Algorithm;
    /// use tower_jwt_auth::{SigningKey, TokenIssuer, TokenVerifier};
    ///
    /// let issuer = |name: &str| {
    ///     let key = SigningKey::generate(Algorithm::ES256)?;
    ///     TokenIssuer::builder(key).issuer(name).audience("api").build()
    /// };
    /// let (staff, customers) = (issuer("https://staff.example")?, issuer("https://shop.example")?);
    /// let verifier = TokenVerifier::for_issuers([staff.verifier(), customers.verifier()])?;
    /// assert!(verifier.verify_local(&staff.access("alice").issue()?).is_ok());
    /// assert!(verifier.verify_local(&customers.access("bob").issue()?).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Security
    ///
    /// A subject is unique within its issuer only: tell users apart by the pair of
    /// [`issuer`](VerifiedToken::issuer) and [`subject`](VerifiedToken::subject) (RFC 9700 section 4.15).
    ///
    /// # Errors
    ///
    /// No verifier; one that trusts any issuer; two that trust the same one.
    pub fn for_issuers(
        verifiers: impl IntoIterator<Item = TokenVerifier>,
    ) -> Result<Self, ConfigError> {
        let mut singles = Vec::new();
        for verifier in verifiers {
            match verifier.issuers {
                Issuers::One(single) => singles.push(single),
                Issuers::Many(directory) => singles.extend(directory.singles()),
            }
        }
        let issuers = Issuers::Many(Arc::new(Directory::new(singles)?));
        Ok(Self { issuers })
    }

    /// Verifies a token by everything that is configured, the revocation store included.
    ///
    /// Signature and claims come first: a forged token causes no I/O, unless it names a key that
    /// a [`KeySource`] may still learn of.
    ///
    /// # Errors
    ///
    /// The [reason](crate::error::AuthErrorKind) why the token is refused, or cannot be judged now.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        self.start(token.as_bytes()).finish().await
    }

    /// Verifies the signature and the claims of a token, with no I/O: revocation is not looked
    /// at, and a key that would have to be fetched is unknown.
    ///
    /// # Errors
    ///
    /// The [reason](crate::error::AuthErrorKind) why the token is refused.
    pub fn verify_local(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        let token = token.as_bytes();
        self.of(token)?.verify_local(token)
    }

    /// How each source of keys that change is doing: for a health endpoint, or metrics.
    ///
    /// The service can judge tokens of an issuer while its state
    /// [is ready](crate::keys::KeySourceState::is_ready). Empty where all keys are fixed.
    #[must_use]
    pub fn health(&self) -> Vec<KeySourceHealth> {
        match &self.issuers {
            Issuers::One(single) => single.health().into_iter().collect(),
            Issuers::Many(directory) => {
                let singles = directory.singles();
                let mut health: Vec<_> = singles.iter().filter_map(Single::health).collect();
                health.sort_by(|a, b| a.name.cmp(&b.name));
                health
            }
        }
    }

    /// Comes as far as memory allows; boxes a future only where something must be waited for.
    pub(crate) fn start(&self, token: &[u8]) -> Progress {
        match self.of(token) {
            Ok(single) => single.start(token),
            Err(error) => Progress::Done(Err(error)),
        }
    }

    /// Who judges this token.
    fn of(&self, token: &[u8]) -> Result<&Single, AuthError> {
        match &self.issuers {
            Issuers::One(single) => Ok(single),
            Issuers::Many(directory) => directory.of(token),
        }
    }
}

impl From<Single> for TokenVerifier {
    fn from(single: Single) -> Self {
        Self {
            issuers: Issuers::One(single),
        }
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.issuers {
            Issuers::One(single) => single.fmt(f),
            Issuers::Many(directory) => directory.fmt(f),
        }
    }
}
