//! [`BackchannelLogoutBuilder`]: what a logout ends, checked once.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::act::{Actor, BoxError, Hook};
use super::logout::{Ends, Logout};
use super::service::BackchannelLogout;
use crate::error::ConfigError;
use crate::revocation::DynRevocationStore;
use crate::verifier::{Rules, TokenProfile, TokenVerifier};

/// The default for the longest lifetime of a provider's access tokens, if no verifier of them is set: 24 hours.
///
/// A logout is kept in the revocation store for this time plus 10 minutes. Its entry must outlive every access
/// token that it covers, and few providers issue access tokens that live longer by default.
pub const DEFAULT_MAX_ACCESS_TTL: Duration = Duration::from_secs(86_400);
/// The longest lifetime that can be set: ten years.
const MAX_ACCESS_TTL: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Builds a [`BackchannelLogout`]; made by [`BackchannelLogout::builder`].
#[must_use = "a builder does nothing until `build()`"]
#[derive(Clone)]
pub struct BackchannelLogoutBuilder {
    verifier: TokenVerifier,
    revocations: Arc<dyn DynRevocationStore>,
    access_tokens: Option<TokenVerifier>,
    max_access_ttl: Option<Duration>,
    has_opaque_tokens: bool,
    hook: Option<Arc<Hook>>,
}

// === impl BackchannelLogoutBuilder ===

impl BackchannelLogoutBuilder {
    pub(super) fn new(verifier: TokenVerifier, revocations: Arc<dyn DynRevocationStore>) -> Self {
        Self {
            verifier,
            revocations,
            access_tokens: None,
            max_access_ttl: None,
            has_opaque_tokens: false,
            hook: None,
        }
    }

    /// Sets the verifier of the access tokens that a logout ends. Two of its rules matter:
    ///
    /// - [`max_lifetime`](crate::verifier::TokenVerifierBuilder::max_lifetime) says how long the access
    ///   tokens live.
    /// - If it [requires](crate::verifier::TokenVerifierBuilder::require) `sid`, a logout token that names a
    ///   session ends only that session. Otherwise it also ends all access tokens that were issued to the
    ///   subject until then, because a token without `sid` may belong to that session. Other devices then
    ///   have to refresh their tokens.
    pub fn access_tokens(mut self, verifier: &TokenVerifier) -> Self {
        self.access_tokens = Some(verifier.clone());
        self
    }

    /// Tells the service that opaque tokens of the provider are also accepted, through `Introspection` with the
    /// same revocation store. Introspection responses rarely contain a `sid`. So a logout then ends all tokens
    /// that were issued to the subject before it, whatever the verifier of JWTs requires.
    pub fn opaque_tokens(mut self) -> Self {
        self.has_opaque_tokens = true;
        self
    }

    /// Sets the longest lifetime of the provider's access tokens. The default is the `max_lifetime` of the
    /// [verifier of access tokens](Self::access_tokens), or [24 hours](DEFAULT_MAX_ACCESS_TTL) if no such
    /// verifier is set.
    ///
    /// # Security
    ///
    /// An access token that lives longer is accepted again once the entry of the logout is removed. Set
    /// `max_lifetime` of its verifier, so that such a token is refused.
    pub fn max_access_ttl(mut self, ttl: Duration) -> Self {
        self.max_access_ttl = Some(ttl);
        self
    }

    /// Sets a hook that the application runs in addition when a user has logged out, for example to end its
    /// own sessions. The hook is called after the access tokens were revoked, and the provider receives a 200
    /// once it returns `Ok`. If it fails, panics or takes longer than 10 seconds, the response is a 503, and
    /// the same logout token is carried out again when the provider sends it again.
    ///
    /// So the hook may run more than once for one logout, for example if two nodes receive the same logout
    /// token at once. It must be safe to repeat.
    ///
    /// ```
    /// use tower_jwt_auth::Sessions;
    /// use tower_jwt_auth::backchannel_logout::{BackchannelLogoutBuilder, Logout};
    ///
    /// /// For an application that has opened a session of its own for each login at the provider, with the
    /// /// provider's `sub` as the subject.
    /// fn ending(builder: BackchannelLogoutBuilder, sessions: Sessions) -> BackchannelLogoutBuilder {
    ///     builder.on_logout(move |logout: Logout| {
    ///         let sessions = sessions.clone();
    ///         async move {
    ///             match logout.subject() {
    ///                 Some(subject) => sessions.end_all(subject).await.map(drop),
    ///                 None => Ok(()), // only the session is known: look it up in your own table
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    pub fn on_logout<F, Fut, E>(mut self, hook: F) -> Self
    where
        F: Fn(Logout) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.hook = Some(Arc::new(move |logout| {
            let done = hook(logout);
            Box::pin(async move { done.await.map_err(Into::into) })
        }));
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - the verifier of logout tokens accepts other tokens, or has a revocation store;
    /// - the [verifier of access tokens](Self::access_tokens) accepts no tokens of a provider, or has no
    ///   revocation store;
    /// - the lifetime of the access tokens is unknown: their verifier has no `max_lifetime`, or finds its
    ///   issuers only at run time, and [`max_access_ttl`](Self::max_access_ttl) is not set;
    /// - the lifetime is zero, longer than ten years, or shorter than the verifier's `max_lifetime`.
    pub fn build(self) -> Result<BackchannelLogout, ConfigError> {
        for rules in self.verifier.rules().unwrap_or_default() {
            if rules.profile != TokenProfile::LogoutToken {
                return Err(ConfigError::invalid(
                    "the verifier of logout tokens accepts other tokens: build it with \
                     `.profile(TokenProfile::LogoutToken)` and your client id as its audience",
                ));
            }
            if rules.asks_store {
                return Err(ConfigError::invalid(
                    "the verifier of logout tokens has a revocation store, because of which a second logout of the \
                     same user would be refused: leave out `.revocation(..)`, and give the store to \
                     `BackchannelLogout::builder` only",
                ));
            }
        }
        let mut ends = match &self.access_tokens {
            Some(verifier) => ends_of(verifier, self.max_access_ttl)?,
            None => Ends {
                max_access_ttl: self.max_access_ttl.unwrap_or(DEFAULT_MAX_ACCESS_TTL),
                all_tokens_have_session: false,
            },
        };
        ends.all_tokens_have_session &= !self.has_opaque_tokens;
        if ends.max_access_ttl.is_zero() || ends.max_access_ttl > MAX_ACCESS_TTL {
            return Err(ConfigError::invalid(
                "the longest lifetime of access tokens must be above zero, and at most ten years",
            ));
        }
        let actor = Actor::new(self.revocations, ends, self.hook);
        Ok(BackchannelLogout::new(self.verifier, Arc::new(actor)))
    }
}

impl fmt::Debug for BackchannelLogoutBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackchannelLogoutBuilder")
            .field("verifier", &self.verifier)
            .field("max_access_ttl", &self.max_access_ttl)
            .finish_non_exhaustive()
    }
}

/// Returns what a logout must end, by the rules for a provider's access tokens.
fn ends_of(verifier: &TokenVerifier, set: Option<Duration>) -> Result<Ends, ConfigError> {
    let Some(rules) = verifier.rules() else {
        // The issuers are known only at run time, so the lifetime of their tokens is not known now.
        let max_access_ttl = set.ok_or_else(|| {
            ConfigError::invalid(
                "the issuers of this verifier are known only at run time, so the lifetime of their access tokens \
                 is not known: set `max_access_ttl`",
            )
        })?;
        return Ok(Ends {
            max_access_ttl,
            all_tokens_have_session: false,
        });
    };
    // Tokens of this application end with its own sessions, and workloads do not log out.
    let of_provider = |rules: &Rules| {
        use TokenProfile::{JwtSvid, LogoutToken, Own};
        !matches!(rules.profile, Own | JwtSvid | LogoutToken)
    };
    let rules: Vec<_> = rules.into_iter().filter(of_provider).collect();
    if rules.is_empty() {
        return Err(ConfigError::invalid(
            "the verifier of access tokens accepts none of an identity provider: pass the one with the \
             profile `Rfc9068`, `Compatible` or `IdToken`",
        ));
    }
    if rules.iter().any(|rules| !rules.asks_store) {
        return Err(ConfigError::invalid(
            "the verifier of access tokens has no revocation store, so it would not notice a logout: add \
             `.revocation(store)`, with the same store as `BackchannelLogout::builder`",
        ));
    }
    let lifetimes = rules.iter().map(|rules| rules.max_lifetime);
    let longest = lifetimes.collect::<Option<Vec<_>>>();
    let longest = longest.and_then(|lifetimes| lifetimes.into_iter().max());
    let max_access_ttl = match (set, longest) {
        (Some(set), Some(longest)) if set < longest => {
            return Err(ConfigError::invalid(format!(
                "the verifier accepts access tokens that live for {} s, but a logout covers only tokens of at most \
                 {} s: raise `max_access_ttl`, or leave it out",
                longest.as_secs(),
                set.as_secs(),
            )));
        }
        (Some(set), _) => set,
        (None, Some(longest)) => longest,
        (None, None) => {
            return Err(ConfigError::invalid(
                "the lifetime of the provider's access tokens is not known: set `.max_lifetime(..)` of their \
                 verifier, so that none lives longer, or `max_access_ttl`",
            ));
        }
    };
    Ok(Ends {
        max_access_ttl,
        all_tokens_have_session: rules.iter().all(|rules| rules.requires_session),
    })
}
