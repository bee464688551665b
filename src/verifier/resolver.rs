//! [`IssuerResolver`]: issuers that are known only at run time, such as the tenants of a product.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::resolving::{Resolving, Times};
use super::service::TokenVerifier;
use crate::clock::{Clock, SystemClock, as_micros};
use crate::error::{AuthError, ConfigError};

/// The default for the number of issuers that are kept in memory: 1,000.
pub const DEFAULT_MAX_ISSUERS: usize = 1000;
/// The default time for which an issuer is known before the resolver is asked again: 5 minutes.
pub const DEFAULT_RESOLVER_CACHE_FOR: Duration = Duration::from_secs(300);
/// The default time for which an issuer that the resolver does not know is refused without asking again: 30
/// seconds.
pub const DEFAULT_RESOLVER_CACHE_UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// The default time for which a known issuer is still accepted while the resolver fails: 1 hour.
pub const DEFAULT_RESOLVER_STALE_FOR: Duration = Duration::from_secs(3600);
/// The time limit of a call to the resolver: 2 seconds.
pub const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Finds the verifier of an issuer that is known only at run time, such as a tenant in a database.
///
/// # Security
///
/// `issuer` comes from a token that has not been verified yet: it may be any string of at most 512 bytes.
/// Compare it with what is configured. Never send a request to it, and never build a URL from it, unless
/// [`accepts`](Self::accepts) has restricted its form. The verifier that you return must trust this issuer
/// and no other.
///
/// ```
/// use std::collections::HashMap;
/// use tower_jwt_auth::verifier::IssuerResolver;
/// use tower_jwt_auth::{Algorithm, AuthError, SigningKey, TokenIssuer, TokenVerifier};
///
/// /// In a real application, a database.
/// #[derive(Debug)]
/// struct Tenants(HashMap<String, TokenVerifier>);
///
/// impl IssuerResolver for Tenants {
///     fn accepts(&self, issuer: &str) -> bool {
///         issuer.starts_with("https://login.example/tenants/")
///     }
///
///     async fn resolve(
///         &self,
///         issuer: &str,
///         known: Option<TokenVerifier>,
///     ) -> Result<Option<TokenVerifier>, AuthError> {
///         Ok(known.or_else(|| self.0.get(issuer).cloned()))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let acme = "https://login.example/tenants/acme";
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let tokens = TokenIssuer::builder(key).issuer(acme).audience("api").build()?;
///
/// let tenants = Tenants(HashMap::from([(acme.to_owned(), tokens.verifier())]));
/// let verifier = TokenVerifier::resolver_builder(tenants).build()?;
/// assert!(verifier.verify(&tokens.access("alice").issue()?).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not resolve issuers",
    note = "a fixed list of issuers needs `TokenVerifier::for_issuers`; a resolver of your own implements \
            `IssuerResolver` and `Debug`"
)]
pub trait IssuerResolver: Debug + Send + Sync + 'static {
    /// Returns whether an issuer of this form can exist. Tokens of any other issuer are refused without a
    /// call of [`resolve`](Self::resolve). Decide by the string alone, without I/O. By default, it returns
    /// `true` for every issuer.
    fn accepts(&self, issuer: &str) -> bool {
        let _ = issuer;
        true
    }

    /// Returns the verifier of this issuer, or `None` if the issuer is unknown or was removed.
    ///
    /// `known` is the verifier that was returned before, if this call only confirms the issuer. Return it
    /// again unless its settings have changed: a new verifier has to fetch its keys again.
    ///
    /// # Errors
    ///
    /// Return [`Unavailable`](crate::AuthErrorKind::Unavailable) if the issuer cannot be looked up now, for
    /// example because the database is down. A call that takes longer than [2 seconds](RESOLVER_TIMEOUT) is
    /// treated in the same way.
    fn resolve(
        &self,
        issuer: &str,
        known: Option<TokenVerifier>,
    ) -> impl Future<Output = Result<Option<TokenVerifier>, AuthError>> + Send;
}

/// The dyn-compatible counterpart of [`IssuerResolver`].
pub(super) trait DynIssuerResolver: Debug + Send + Sync {
    fn accepts(&self, issuer: &str) -> bool;
    fn resolve<'a>(&'a self, issuer: &'a str, known: Option<TokenVerifier>) -> Resolved<'a>;
}

type Resolved<'a> =
    Pin<Box<dyn Future<Output = Result<Option<TokenVerifier>, AuthError>> + Send + 'a>>;

impl<R: IssuerResolver> DynIssuerResolver for R {
    fn accepts(&self, issuer: &str) -> bool {
        IssuerResolver::accepts(self, issuer)
    }

    fn resolve<'a>(&'a self, issuer: &'a str, known: Option<TokenVerifier>) -> Resolved<'a> {
        Box::pin(IssuerResolver::resolve(self, issuer, known))
    }
}

/// Builds a verifier for issuers that a resolver finds; see [`TokenVerifier::resolver_builder`].
#[must_use = "a builder does nothing until `build()`"]
#[derive(Clone)]
pub struct ResolverBuilder {
    resolver: Arc<dyn DynIssuerResolver>,
    max_issuers: usize,
    times: Times,
    clock: Arc<dyn Clock>,
}

// === impl ResolverBuilder ===

impl ResolverBuilder {
    pub(super) fn new(resolver: impl IssuerResolver) -> Self {
        Self {
            resolver: Arc::new(resolver),
            max_issuers: DEFAULT_MAX_ISSUERS,
            times: Times {
                cache_for: as_micros(DEFAULT_RESOLVER_CACHE_FOR),
                cache_unknown_for: as_micros(DEFAULT_RESOLVER_CACHE_UNKNOWN_FOR),
                stale_for: as_micros(DEFAULT_RESOLVER_STALE_FOR),
            },
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how many issuers are kept in memory: [1,000](DEFAULT_MAX_ISSUERS) by default. Beyond that,
    /// the least recently used one is dropped.
    pub fn max_issuers(mut self, count: usize) -> Self {
        self.max_issuers = count;
        self
    }

    /// Sets for how long an issuer is known before the resolver must confirm it: [5
    /// minutes](DEFAULT_RESOLVER_CACHE_FOR) by default. For an issuer in use, the resolver is asked in the
    /// background shortly before. While the resolver works, a tenant that was removed is refused after this
    /// time at the latest; while it fails, see [`stale_for`](Self::stale_for).
    pub fn cache_for(mut self, duration: Duration) -> Self {
        self.times.cache_for = as_micros(duration);
        self
    }

    /// Sets for how long an issuer that the resolver does not know is refused without asking again:
    /// [30 seconds](DEFAULT_RESOLVER_CACHE_UNKNOWN_FOR) by default. So a new tenant is accepted after this
    /// time at the latest.
    pub fn cache_unknown_for(mut self, duration: Duration) -> Self {
        self.times.cache_unknown_for = as_micros(duration);
        self
    }

    /// Sets for how long a known issuer is still accepted while the resolver fails, counted from the end of
    /// [`cache_for`](Self::cache_for): [1 hour](DEFAULT_RESOLVER_STALE_FOR) by default. After that, requests
    /// with its tokens are answered with 503.
    pub fn stale_for(mut self, duration: Duration) -> Self {
        self.times.stale_for = as_micros(duration);
        self
    }

    /// Sets the clock by which issuers expire from memory: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the verifier. [`TokenVerifier::for_issuers`] can join it with others.
    ///
    /// # Errors
    ///
    /// Fails if [`max_issuers`](Self::max_issuers) or [`cache_for`](Self::cache_for) is zero.
    pub fn build(self) -> Result<TokenVerifier, ConfigError> {
        if self.max_issuers == 0 || self.times.cache_for == 0 {
            return Err(ConfigError::invalid(
                "`max_issuers` or `cache_for` is zero, so the resolver would be asked for every token: set \
                 both above zero, or leave them out",
            ));
        }
        let resolving = Resolving::new(self.resolver, self.max_issuers, self.times, self.clock);
        Ok(TokenVerifier::of_resolver(Arc::new(resolving)))
    }
}

impl Debug for ResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverBuilder")
            .field("resolver", &self.resolver)
            .field("max_issuers", &self.max_issuers)
            .finish_non_exhaustive()
    }
}
