//! [`TokenVerifier`]: verifies tokens of one issuer, or of several.

use std::fmt;
use std::sync::Arc;

use super::directory::{Directory, Found};
use super::resolving::Resolving;
use super::single::Single;
use super::{IssuerResolver, Progress, ResolverBuilder, TokenVerifierBuilder, VerifiedToken};
use crate::error::{AuthError, ConfigError};
use crate::keys::KeySourceHealth;
use crate::policy::Possession;

/// Verifies tokens: their form, header, key, signature, claims and revocation, in this order.
///
/// It is cheap to clone, and all clones share their state. Build one with [`builder`](Self::builder), or use
/// [`TokenIssuer::verifier`](crate::TokenIssuer::verifier) in the service that issues the tokens.
///
/// ```
/// use tower_jwt_auth::{Algorithm, AuthErrorKind, SigningKey, TokenIssuer, TokenVerifier};
/// use tower_jwt_auth::keys::KeySet;
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let verifier = TokenVerifier::builder().keys(key.verifying_key()).issuer("me").audience("api").build()?;
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
    pub(super) issuers: Issuers,
}

#[derive(Clone)]
pub(super) enum Issuers {
    One(Single),
    Many(Arc<Directory>),
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// Returns a builder. It needs an issuer, an audience and keys: set the keys by
    /// [`keys`](TokenVerifierBuilder::keys) or [`key_source`](TokenVerifierBuilder::key_source) or, with the
    /// feature `jwks`, have those of an identity provider fetched by `discover`.
    pub fn builder() -> TokenVerifierBuilder {
        TokenVerifierBuilder::new()
    }

    /// Joins several verifiers into one that accepts the tokens of all their issuers. Each token is judged by
    /// the verifier of its issuer alone, with that verifier's keys, algorithms, audiences, profile and
    /// revocations.
    ///
    /// The token's `iss`, still unverified, chooses the verifier. It is compared byte by byte. The chosen
    /// verifier then checks the whole token. A token of any other issuer, or without one, is refused
    /// without I/O.
    ///
    /// ```
    /// use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer, TokenVerifier};
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
    /// A subject is unique only within its issuer: identify users by the pair of
    /// [`issuer`](VerifiedToken::issuer) and [`subject`](VerifiedToken::subject) (RFC 9700 section 4.15).
    ///
    /// # Errors
    ///
    /// Fails if there is no verifier, if one of them trusts any issuer, if two trust the same issuer, or if
    /// two have a resolver.
    pub fn for_issuers(
        verifiers: impl IntoIterator<Item = TokenVerifier>,
    ) -> Result<Self, ConfigError> {
        let (mut singles, mut resolver) = (Vec::new(), None);
        for verifier in verifiers {
            match verifier.issuers {
                Issuers::One(single) => singles.push(single),
                Issuers::Many(directory) => {
                    singles.extend(directory.singles());
                    if let Some(another) = directory.resolver()
                        && resolver.replace(Arc::clone(another)).is_some()
                    {
                        return Err(ConfigError::invalid(
                            "two of the verifiers have a resolver of issuers, and nothing says which is to \
                             be asked: make one resolver of both",
                        ));
                    }
                }
            }
        }
        let issuers = Issuers::Many(Arc::new(Directory::new(singles, resolver)?));
        Ok(Self { issuers })
    }

    /// Returns a builder of a verifier for issuers that are known only at run time, such as the tenants of a
    /// product: see [`IssuerResolver`].
    ///
    /// The resolver is asked for the token's `iss`, which is still unverified. Both known and unknown issuers
    /// are kept in memory, so that repeated requests cause no I/O.
    pub fn resolver_builder(resolver: impl IssuerResolver) -> ResolverBuilder {
        ResolverBuilder::new(resolver)
    }

    pub(super) fn of_resolver(resolver: Arc<Resolving>) -> Self {
        let directory = Directory::of_resolver(resolver);
        Self {
            issuers: Issuers::Many(Arc::new(directory)),
        }
    }

    /// Verifies a token by all configured rules, the revocation store included.
    ///
    /// Signature and claims come first: a forged token causes no I/O, unless it names a key that a
    /// [`KeySource`](crate::keys::KeySource) may still be able to fetch.
    ///
    /// The token is treated as a bearer token: one that is bound to a key or to a certificate is refused. To
    /// accept such tokens, let a [`JwtAuthLayer`](crate::JwtAuthLayer::dpop) check the binding.
    ///
    /// # Errors
    ///
    /// Fails with the [reason](crate::AuthErrorKind) why the token is refused or cannot be judged now.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        let bearer = &Possession::BEARER;
        self.start(token.as_bytes(), bearer).finish().await
    }

    /// Verifies the signature and the claims of a token without I/O.
    ///
    /// Revocations are not checked, and a key that would have to be fetched counts as unknown. If a
    /// [resolver](Self::resolver_builder) would have to be asked for the issuer, the error is
    /// [`Unavailable`](crate::AuthErrorKind::Unavailable).
    ///
    /// # Errors
    ///
    /// Fails with the [reason](crate::AuthErrorKind) why the token is refused.
    pub fn verify_local(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        let (token, bearer) = (token.as_bytes(), &Possession::BEARER);
        match self.of(token)? {
            Found::Single(single) => single.verify_local(token, bearer),
            Found::Resolver(resolver, issuer) => resolver.verify_local(&issuer, token, bearer),
        }
    }

    /// Returns the issuers that this verifier trusts by name, in the order in which they were given.
    ///
    /// Issuers that it trusts by a pattern or finds through a resolver are not included. The list is also
    /// empty if the verifier accepts any issuer, which only `dangerous_no_issuer` allows.
    ///
    /// ```
    /// # use tower_jwt_auth::{Algorithm, SigningKey, TokenVerifier};
    /// # let key = SigningKey::generate(Algorithm::ES256)?.verifying_key();
    /// let verifier =
    ///     TokenVerifier::builder().keys(key).issuer("https://idp.example").audience("api").build()?;
    /// assert_eq!(verifier.issuers(), ["https://idp.example"]);
    /// # Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn issuers(&self) -> Vec<&str> {
        let issuers = match &self.issuers {
            Issuers::One(single) => single.issuers(),
            Issuers::Many(directory) => directory.issuers(),
        };
        issuers.iter().map(AsRef::as_ref).collect()
    }

    /// Returns the state of each source of changing keys, for a health endpoint or metrics. The list is empty
    /// if all keys are fixed or in memory only.
    ///
    /// Tokens of an issuer can be verified while the state of its source
    /// [is ready](crate::keys::KeySourceState::is_ready).
    #[must_use]
    pub fn health(&self) -> Vec<KeySourceHealth> {
        match &self.issuers {
            Issuers::One(single) => single.health().into_iter().collect(),
            Issuers::Many(directory) => {
                let mut singles = directory.singles();
                singles.extend(directory.resolver().iter().flat_map(|one| one.singles()));
                let mut health: Vec<_> = singles.iter().filter_map(Single::health).collect();
                health.sort_by(|a, b| a.name.cmp(&b.name));
                health
            }
        }
    }

    /// Goes as far as possible without waiting, and boxes a future only if something must be awaited.
    pub(crate) fn start(&self, token: &[u8], held: &Possession) -> Progress {
        match self.of(token) {
            Ok(Found::Single(single)) => single.start(token, held),
            Ok(Found::Resolver(resolver, issuer)) => resolver.start(&issuer, token, held),
            Err(error) => Progress::Done(Err(error)),
        }
    }

    /// Chooses what verifies this token.
    fn of(&self, token: &[u8]) -> Result<Found<'_>, AuthError> {
        match &self.issuers {
            Issuers::One(single) => Ok(Found::Single(single)),
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
