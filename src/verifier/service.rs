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

/// Verifies tokens: form, header, key, signature, claims, revocation, in this order.
///
/// Cheap to clone, and made to be shared. Build one with [`builder`](Self::builder), or
/// take [`TokenIssuer::verifier`](crate::TokenIssuer::verifier) where the same service issues.
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
    /// Starts a verifier. It needs keys: [`keys`](TokenVerifierBuilder::keys),
    /// [`source`](TokenVerifierBuilder::source), or, with the feature `jwks`, those of an identity
    /// provider by `discover`.
    pub fn builder() -> TokenVerifierBuilder {
        TokenVerifierBuilder::new()
    }

    /// One verifier for the tokens of several issuers, each judged by its own verifier alone: its
    /// keys, algorithms, audiences, profile, revocations.
    ///
    /// The token's `iss`, still unverified, chooses which one (byte by byte); that one then
    /// verifies all of the token. A token of any other issuer, or of none, is refused with no I/O.
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
    /// A subject is unique within its issuer only: tell users apart by the pair of
    /// [`issuer`](VerifiedToken::issuer) and [`subject`](VerifiedToken::subject) (RFC 9700 section 4.15).
    ///
    /// # Errors
    ///
    /// No verifier; one that trusts any issuer; two that trust the same one; two with a resolver.
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

    /// Starts a verifier for the tokens of issuers that are known only at run time, such as the tenants
    /// of a product: see [`IssuerResolver`].
    ///
    /// The token's `iss`, still unverified, is what the resolver is asked for. Issuers that are known, and
    /// those that are not, are kept in memory, so that repeats cause no I/O.
    pub fn resolver_builder(resolver: impl IssuerResolver) -> ResolverBuilder {
        ResolverBuilder::new(resolver)
    }

    pub(super) fn of_resolver(resolver: Arc<Resolving>) -> Self {
        let directory = Directory::of_resolver(resolver);
        Self {
            issuers: Issuers::Many(Arc::new(directory)),
        }
    }

    /// Verifies a token by everything that is configured, the revocation store included.
    ///
    /// Signature and claims come first: a forged token causes no I/O, unless it names a key that
    /// a [`KeySource`](crate::keys::KeySource) may still learn of.
    ///
    /// The token counts as a bearer token: one that is bound to a key or to a certificate is refused. A
    /// [`JwtAuthLayer`](crate::JwtAuthLayer::dpop) can check what such a token is bound to.
    ///
    /// # Errors
    ///
    /// The [reason](crate::AuthErrorKind) why the token is refused, or cannot be judged now.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        let bearer = &Possession::BEARER;
        self.start(token.as_bytes(), bearer).finish().await
    }

    /// Verifies the signature and the claims of a token, with no I/O: revocation is not looked
    /// at, and a key that would have to be fetched is unknown. An issuer that a
    /// [resolver](Self::resolver_builder) would have to be asked for is
    /// [`Unavailable`](crate::AuthErrorKind::Unavailable).
    ///
    /// # Errors
    ///
    /// The [reason](crate::AuthErrorKind) why the token is refused.
    pub fn verify_local(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        let (token, bearer) = (token.as_bytes(), &Possession::BEARER);
        match self.of(token)? {
            Found::Single(single) => single.verify_local(token, bearer),
            Found::Resolver(resolver, issuer) => resolver.verify_local(&issuer, token, bearer),
        }
    }

    /// Returns the issuers that it trusts by name, in the order in which they were given.
    ///
    /// Those that it trusts by a pattern or finds by a resolver are not among them. It is empty as well
    /// if it accepts any issuer, which only `dangerous_no_issuer` allows.
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

    /// How each source of keys that change is doing: for a health endpoint, or metrics.
    ///
    /// The service can judge tokens of an issuer while its state
    /// [is ready](crate::keys::KeySourceState::is_ready). Empty where all keys are fixed.
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

    /// Comes as far as memory allows; boxes a future only where something must be waited for.
    pub(crate) fn start(&self, token: &[u8], held: &Possession) -> Progress {
        match self.of(token) {
            Ok(Found::Single(single)) => single.start(token, held),
            Ok(Found::Resolver(resolver, issuer)) => resolver.start(&issuer, token, held),
            Err(error) => Progress::Done(Err(error)),
        }
    }

    /// Who judges this token.
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
