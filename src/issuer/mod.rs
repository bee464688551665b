//! [`TokenIssuer`]: makes tokens, keeps sessions, and revokes both.

mod builder;
mod error;
mod keys;
mod pair;
mod request;
mod sessions;

pub use builder::TokenIssuerBuilder;
pub use error::IssueError;
pub use keys::IssuerKeys;
pub use pair::{PairRequest, TokenPair};
pub use request::TokenRequest;
use sessions::Sessions;
pub use sessions::{RotatedSession, SessionError, SessionErrorKind, SessionRequest};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::claims::{Audience, TokenType};
use crate::clock::Clock;
use crate::error::{AuthError, AuthErrorKind};
use crate::jti::Stamps;
use crate::keys::{KeyRing, KeySet, VerifyingKey};
use crate::policy::MAX_LEEWAY;
use crate::revocation::{DynRevocationStore, Revocation};
use crate::session::SessionTarget;
use crate::verifier::{TokenVerifier, VerifiedToken};

/// How long an access token lives: short, because it is good until then (RFC 6750 section 5.3).
pub const DEFAULT_ACCESS_TTL: Duration = Duration::from_secs(900);
/// How long a refresh token lives: 30 days.
pub const DEFAULT_REFRESH_TTL: Duration = Duration::from_secs(2_592_000);
/// After which time without a refresh a session ends: 15 days.
pub const DEFAULT_SESSION_IDLE_TTL: Duration = Duration::from_secs(1_296_000);
/// For how long the last refresh token is still good: enough for two tabs and a slow network.
pub const DEFAULT_ROTATION_GRACE: Duration = Duration::from_secs(10);
/// The most that may be asked for: a thief is not seen within it.
pub const MAX_ROTATION_GRACE: Duration = Duration::from_secs(60);
/// The longest lifetime that can be asked for.
const MAX_TTL: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Makes access and refresh tokens, and the verifiers that accept them.
///
/// Cheap to clone, and made to be shared.
///
/// Each token carries `exp`, `iat`, `nbf`, `jti`, `type`, `sub`, and `iss` and `aud` where
/// configured; its header carries `alg`, `kid` and `typ`. The payload is signed, not
/// encrypted: put nothing into claims that the holder of the token must not read.
///
/// ```
/// use tower_jwt_auth::keys::Algorithm;
/// use tower_jwt_auth::{SigningKey, TokenIssuer};
///
/// let key = SigningKey::generate(Algorithm::EdDSA)?;
/// let tokens = TokenIssuer::builder(key).issuer("https://me.example").audience("api").build()?;
///
/// let token = tokens.access("alice").scope("read").claim("tenant", 7).issue()?;
/// let verified = tokens.verifier().verify_local(&token)?;
/// assert!(verified.has_scope("read"));
///
/// let reserved = tokens.access("alice").claim("exp", 0).issue().unwrap_err();
/// assert_eq!(reserved.to_string(), "the claim `exp` is reserved");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenIssuer {
    inner: Arc<Inner>,
}

struct Inner {
    keys: IssuerKeys,
    previous: Vec<VerifyingKey>,
    issuer: Option<String>,
    audience: Audience,
    access_ttl: Duration,
    refresh_ttl: Duration,
    clock: Arc<dyn Clock>,
    stamps: Stamps,
    revocation: Option<Arc<dyn DynRevocationStore>>,
    sessions: Option<Sessions>,
    access_verifier: TokenVerifier,
    refresh_verifier: TokenVerifier,
}

// === impl TokenIssuer ===

impl TokenIssuer {
    /// Starts an issuer that signs with a [`SigningKey`](crate::SigningKey), or with the active key
    /// of a [`KeyRing`].
    pub fn builder(keys: impl Into<IssuerKeys>) -> TokenIssuerBuilder {
        TokenIssuerBuilder::new(keys.into())
    }

    /// An access token for this subject.
    pub fn access(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Access, sub.into(), self.inner.access_ttl)
    }

    /// A refresh token for this subject. It opens no resource.
    pub fn refresh(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Refresh, sub.into(), self.inner.refresh_ttl)
    }

    /// An access token and a refresh token for this subject.
    pub fn pair(&self, sub: impl Into<String>) -> PairRequest<'_> {
        PairRequest {
            request: self.access(sub),
        }
    }

    fn request(&self, token_type: TokenType, subject: String, ttl: Duration) -> TokenRequest<'_> {
        TokenRequest {
            issuer: self,
            token_type,
            subject,
            ttl,
            scopes: Vec::new(),
            session: None,
            generation: None,
            auth_time: None,
            claims: serde_json::Map::new(),
            problem: None,
        }
    }

    /// The verifier of this issuer's access tokens: the same keys, issuer, audience, clock and
    /// revocation store, so that the two cannot drift apart.
    #[must_use]
    pub fn verifier(&self) -> TokenVerifier {
        self.inner.access_verifier.clone()
    }

    /// The verifier of this issuer's refresh tokens, for the endpoint that trades them.
    #[must_use]
    pub fn refresh_verifier(&self) -> TokenVerifier {
        self.inner.refresh_verifier.clone()
    }

    /// Every key that its verifiers accept now: what its JWK set shows, if none is a secret.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        // Keys with one id were found at the start; of those that a ring has got since, the ring's counts.
        let Inner { keys, previous, .. } = &*self.inner;
        keys.key_set(previous)
            .or_else(|_| keys.key_set(&[]))
            .unwrap_or_default()
    }

    /// The ring that it signs with, if there is one.
    #[must_use]
    pub fn key_ring(&self) -> Option<&KeyRing> {
        match &self.inner.keys {
            IssuerKeys::Ring(ring) => Some(ring),
            IssuerKeys::Key(_) => None,
        }
    }

    /// How long access tokens live.
    #[must_use]
    pub fn access_ttl(&self) -> Duration {
        self.inner.access_ttl
    }

    /// How long refresh tokens live.
    #[must_use]
    pub fn refresh_ttl(&self) -> Duration {
        self.inner.refresh_ttl
    }

    /// Revokes this one token.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](AuthErrorKind::Unavailable): the store does not answer, and the
    /// token may still be good. [`Internal`](AuthErrorKind::Internal): no store is configured.
    pub async fn revoke(&self, token: &VerifiedToken) -> Result<(), AuthError> {
        let revocation = token.revocation().ok_or_else(|| {
            AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token lacks `jti`, without which it cannot be revoked")
        })?;
        self.record(&revocation).await
    }

    /// Ends a session with all its tokens.
    ///
    /// Without a revocation store its access tokens are good until they expire; without a
    /// session store only they are revoked.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_session(&self, sid: &str) -> Result<(), AuthError> {
        if self.inner.sessions.is_some() {
            self.end_sessions(SessionTarget::Session(sid)).await?;
            if self.inner.revocation.is_none() {
                return Ok(());
            }
        }
        let until = self.last_token_ends();
        self.record(&Revocation::session(self.issuer(), sid, until))
            .await
    }

    /// Revokes every token that the subject has been issued up to now, and ends all its
    /// sessions: "log out everywhere".
    ///
    /// A token issued before is refused and one issued afterwards is good, within the same
    /// second too. Between nodes, "before" is as exact as their clocks agree; where the clock of
    /// this one was set back, a token issued until it has caught up is refused too.
    ///
    /// Without a revocation store access tokens are good until they expire.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_subject(&self, sub: &str) -> Result<(), AuthError> {
        let cutoff = self.inner.stamps.cutoff(&*self.inner.clock);
        if self.inner.sessions.is_some() {
            self.end_sessions(SessionTarget::Subject(sub)).await?;
            if self.inner.revocation.is_none() {
                return Ok(());
            }
        }
        let until = self.last_token_ends();
        self.record(&Revocation::subject_at(self.issuer(), sub, cutoff, until))
            .await
    }

    async fn record(&self, revocation: &Revocation) -> Result<(), AuthError> {
        let store = self.inner.revocation.as_ref().ok_or_else(|| {
            AuthError::new(AuthErrorKind::Internal)
                .because("no revocation store is configured: call `.revocation(store)`")
        })?;
        Ok(store.revoke(revocation).await?)
    }

    fn longest_ttl(&self) -> Duration {
        self.inner.access_ttl.max(self.inner.refresh_ttl)
    }

    fn issuer(&self) -> Option<&str> {
        self.inner.issuer.as_deref()
    }

    /// When every token issued up to now has expired, whatever the leeway.
    fn last_token_ends(&self) -> SystemTime {
        self.inner.clock.now() + self.longest_ttl() + MAX_LEEWAY
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("keys", &self.inner.keys)
            .field("issuer", &self.inner.issuer)
            .field("audience", &self.inner.audience)
            .finish_non_exhaustive()
    }
}
