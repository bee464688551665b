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

/// How many issuers are kept by default: 1,000.
pub const DEFAULT_RESOLVED_ISSUERS: usize = 1000;
/// How long an issuer is known by default before the resolver is asked again: 5 minutes.
pub const DEFAULT_KNOWN_FOR: Duration = Duration::from_secs(300);
/// How long an issuer that the resolver does not know is refused by default without asking again: 30
/// seconds.
pub const DEFAULT_UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// How long a known issuer is still accepted by default while the resolver fails: 1 hour.
pub const DEFAULT_RESOLVER_STALE_FOR: Duration = Duration::from_secs(3600);
/// The time limit of a call to the resolver: 2 seconds.
pub const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Finds the verifier of an issuer that is known only at run time, such as a tenant in a database.
///
/// # Security
///
/// `issuer` comes from a token that nobody has verified yet: it may be any text of at most 512 bytes.
/// Compare it with what is configured; never fetch from it, and never build an address from it, unless
/// [`may_know`](Self::may_know) has pinned its form. The verifier must trust this issuer and no other.
///
/// ```
/// use std::collections::HashMap;
/// use tower_jwt_auth::verifier::IssuerResolver;
/// use tower_jwt_auth::{Algorithm, AuthError, SigningKey, TokenIssuer, TokenVerifier};
///
/// /// A database in real life.
/// #[derive(Debug)]
/// struct Tenants(HashMap<String, TokenVerifier>);
///
/// impl IssuerResolver for Tenants {
///     fn may_know(&self, issuer: &str) -> bool {
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
    /// Returns whether an issuer of this form may be known at all. Tokens of any other issuer are refused
    /// without a call. It must not look at anything but the text.
    fn may_know(&self, issuer: &str) -> bool {
        let _ = issuer;
        true
    }

    /// Returns the verifier of this issuer, or `None` if it is not known (any more).
    ///
    /// `known` is the verifier that was returned before, if the issuer is only to be confirmed. Return it
    /// again unless its settings have changed: a new verifier has to fetch its keys anew.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be found out now: see
    /// [`Unavailable`](crate::AuthErrorKind::Unavailable). A call that takes longer than
    /// [2 seconds](RESOLVER_TIMEOUT) fails as well.
    fn resolve(
        &self,
        issuer: &str,
        known: Option<TokenVerifier>,
    ) -> impl Future<Output = Result<Option<TokenVerifier>, AuthError>> + Send;
}

/// The dyn-compatible counterpart of [`IssuerResolver`].
pub(super) trait DynIssuerResolver: Debug + Send + Sync {
    fn may_know(&self, issuer: &str) -> bool;
    fn resolve<'a>(&'a self, issuer: &'a str, known: Option<TokenVerifier>) -> Resolved<'a>;
}

type Resolved<'a> =
    Pin<Box<dyn Future<Output = Result<Option<TokenVerifier>, AuthError>> + Send + 'a>>;

impl<R: IssuerResolver> DynIssuerResolver for R {
    fn may_know(&self, issuer: &str) -> bool {
        IssuerResolver::may_know(self, issuer)
    }

    fn resolve<'a>(&'a self, issuer: &'a str, known: Option<TokenVerifier>) -> Resolved<'a> {
        Box::pin(IssuerResolver::resolve(self, issuer, known))
    }
}

/// Builds a verifier for issuers that a resolver finds; see [`TokenVerifier::resolver_builder`].
#[must_use = "a builder does nothing until `build()`"]
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
            max_issuers: DEFAULT_RESOLVED_ISSUERS,
            times: Times {
                known_for: as_micros(DEFAULT_KNOWN_FOR),
                unknown_for: as_micros(DEFAULT_UNKNOWN_FOR),
                stale_for: as_micros(DEFAULT_RESOLVER_STALE_FOR),
            },
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how many issuers are kept: [1,000](DEFAULT_RESOLVED_ISSUERS) by default. Beyond that, the one
    /// that was not used for the longest time is dropped.
    pub fn max_issuers(mut self, count: usize) -> Self {
        self.max_issuers = count;
        self
    }

    /// Sets how long an issuer is known before the resolver must confirm it:
    /// [5 minutes](DEFAULT_KNOWN_FOR) by default. It is asked in the background before that, if the issuer
    /// is in use. So a tenant that is removed is refused after this time at the latest.
    pub fn known_for(mut self, duration: Duration) -> Self {
        self.times.known_for = as_micros(duration);
        self
    }

    /// Sets how long an issuer that the resolver does not know is refused without asking again:
    /// [30 seconds](DEFAULT_UNKNOWN_FOR) by default. So a tenant that is added is accepted after this
    /// time at the latest.
    pub fn unknown_for(mut self, duration: Duration) -> Self {
        self.times.unknown_for = as_micros(duration);
        self
    }

    /// Sets how long a known issuer is accepted while the resolver fails:
    /// [1 hour](DEFAULT_RESOLVER_STALE_FOR) by default. After that, its tokens are answered with 503.
    pub fn stale_for(mut self, duration: Duration) -> Self {
        self.times.stale_for = as_micros(duration);
        self
    }

    /// Sets the clock that measures these times.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the verifier. It can be joined with others by [`TokenVerifier::for_issuers`].
    ///
    /// # Errors
    ///
    /// Fails if no issuer would be kept, or for no time.
    pub fn build(self) -> Result<TokenVerifier, ConfigError> {
        if self.max_issuers == 0 || self.times.known_for == 0 {
            return Err(ConfigError::invalid(
                "`max_issuers` or `known_for` is zero, so the resolver would be asked for every token: set \
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
