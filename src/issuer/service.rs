//! [`TokenIssuer`]: issues tokens and revokes them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{IssuerKeys, PairRequest, TokenIssuerBuilder, TokenRequest};
use crate::claims::{Audience, TokenType};
use crate::clock::{Clock, unix_micros};
use crate::error::{AuthError, AuthErrorKind};
use crate::jti::Stamps;
use crate::keys::{KeyRing, KeySet, VerifyingKey};
use crate::policy::MAX_LEEWAY;
use crate::revocation::{DynRevocationStore, Revocation, RevocationQuery};
use crate::session::{Acknowledger, AcknowledgerSlot};
use crate::store::{StoreError, in_time, to_the_end};
use crate::verifier::{TokenVerifier, TokenVerifierBuilder, VerifiedToken};

/// The default lifetime of an access token: 900 seconds. It is short because a stolen token is valid
/// until then (RFC 6750 section 5.3 recommends an hour or less).
pub const DEFAULT_ACCESS_TTL: Duration = Duration::from_secs(900);
/// The default lifetime of a refresh token: 30 days.
pub const DEFAULT_REFRESH_TTL: Duration = Duration::from_secs(2_592_000);
/// The time limit for recording or looking up a revocation when tokens or sessions are revoked or
/// refreshed: 2 seconds. For requests that only verify a token, [`CachedRevocations`](crate::guide::revocation)
/// has a shorter time limit.
pub const REVOCATION_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest number of revocations that are recorded by one call to a store, so that the call is
/// short.
const MAX_AT_ONCE: usize = 1000;
/// The longest lifetime that can be set: 100 years.
pub(super) const MAX_TTL: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Issues access and refresh tokens, and creates the verifiers that accept them.
///
/// It is cheap to clone and made to be shared.
///
/// Each token contains `exp`, `iat`, `nbf`, `jti`, `type` and `sub`, and `iss` and `aud` if
/// configured. Its header contains `alg`, `kid` and `typ`. The payload is signed, not encrypted: put
/// nothing into claims that the holder of the token must not read.
///
/// ```
/// use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
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
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: IssuerKeys,
    pub(super) previous: Vec<VerifyingKey>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Audience,
    pub(super) access_ttl: Duration,
    pub(super) max_access_ttl: Duration,
    pub(super) refresh_ttl: Duration,
    pub(super) leeway: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stamps: Stamps,
    pub(super) revocation: Option<Arc<dyn DynRevocationStore>>,
    /// Shared by all verifiers of this issuer, and set when sessions are built from it.
    pub(super) acknowledger: AcknowledgerSlot,
    pub(super) verifier_builder: TokenVerifierBuilder,
    pub(super) access_verifier: TokenVerifier,
    pub(super) refresh_verifier: TokenVerifier,
    /// Verifies the refresh tokens of sessions, without a limit on their lifetime and without a store.
    pub(super) session_verifier: TokenVerifier,
}

// === impl TokenIssuer ===

impl TokenIssuer {
    /// Returns a builder of an issuer that signs with a [`SigningKey`](crate::SigningKey), or with the active
    /// key of a [`KeyRing`].
    pub fn builder(keys: impl Into<IssuerKeys>) -> TokenIssuerBuilder {
        TokenIssuerBuilder::new(keys.into())
    }

    /// Returns a request for an access token for this subject. No token is issued until
    /// [`issue`](TokenRequest::issue).
    pub fn access(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Access, sub.into(), self.inner.access_ttl)
    }

    /// Returns a request for a refresh token for this subject. Verifiers of access tokens refuse such a token.
    ///
    /// It belongs to no session and can be used any number of times until it expires. For refresh
    /// tokens that are replaced at each use, use [`Sessions`](crate::Sessions) instead.
    pub fn refresh(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Refresh, sub.into(), self.inner.refresh_ttl)
    }

    /// Returns a request for an access token and a refresh token for this subject, which belong to no session:
    /// see [`refresh`](Self::refresh).
    pub fn pair(&self, sub: impl Into<String>) -> PairRequest<'_> {
        PairRequest {
            request: self.access(sub),
        }
    }

    pub(crate) fn request(
        &self,
        token_type: TokenType,
        subject: String,
        ttl: Duration,
    ) -> TokenRequest<'_> {
        TokenRequest {
            issuer: self,
            token_type,
            subject,
            ttl,
            scopes: Vec::new(),
            session: None,
            generation: None,
            auth_time: None,
            key: None,
            certificate: None,
            claims: serde_json::Map::new(),
            problem: None,
        }
    }

    /// Returns the verifier of this issuer's access tokens. It has the same keys, issuer, audience,
    /// clock and revocation store, so that the two cannot drift apart. It reports to the
    /// [sessions](crate::Sessions) that are built from this issuer which tokens are in use.
    #[must_use]
    pub fn verifier(&self) -> TokenVerifier {
        self.inner.access_verifier.clone()
    }

    /// Returns a builder of another verifier of this issuer's access tokens, for settings that
    /// [`verifier`](Self::verifier) does not have, such as [`require`](TokenVerifierBuilder::require).
    /// Everything else is set already.
    ///
    /// # Security
    ///
    /// Do not raise its [`max_lifetime`](TokenVerifierBuilder::max_lifetime): revocations are not
    /// kept for longer. Raise [`max_access_ttl`](TokenIssuerBuilder::max_access_ttl).
    pub fn verifier_builder(&self) -> TokenVerifierBuilder {
        self.inner.verifier_builder.clone()
    }

    /// Returns the verifier of refresh tokens that belong to no [session](crate::Sessions).
    #[must_use]
    pub fn refresh_verifier(&self) -> TokenVerifier {
        self.inner.refresh_verifier.clone()
    }

    /// Returns every key that the verifiers accept now: the keys to publish as a JWK set, if none of
    /// them is a secret.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        // `build` refused two keys with the same id. If the ring has since got a key with the id of
        // a previous one, the key of the ring counts.
        let Inner { keys, previous, .. } = &*self.inner;
        keys.key_set(previous)
            .or_else(|_| keys.key_set(&[]))
            .unwrap_or_default()
    }

    /// Returns the key ring that the issuer signs with, or `None` if it signs with a single key.
    #[must_use]
    pub fn key_ring(&self) -> Option<&KeyRing> {
        match &self.inner.keys {
            IssuerKeys::Ring(ring) => Some(ring),
            IssuerKeys::Key(_) => None,
        }
    }

    /// Returns the default lifetime of access tokens.
    #[must_use]
    pub fn access_ttl(&self) -> Duration {
        self.inner.access_ttl
    }

    /// Returns the longest lifetime that an access token may have.
    #[must_use]
    pub fn max_access_ttl(&self) -> Duration {
        self.inner.max_access_ttl
    }

    /// Returns the lifetime of refresh tokens, and of sessions.
    #[must_use]
    pub fn refresh_ttl(&self) -> Duration {
        self.inner.refresh_ttl
    }

    /// Revokes this one token.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](AuthErrorKind::Unavailable): the store is unavailable, and the token may
    ///   still be valid.
    /// - [`Internal`](AuthErrorKind::Internal): no store is configured.
    /// - [`InvalidClaim`](AuthErrorKind::InvalidClaim): the token has no `jti`, or never expires.
    pub async fn revoke(&self, token: &VerifiedToken) -> Result<(), AuthError> {
        let revocation = token.revocation().ok_or_else(|| {
            AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token lacks `jti`, without which it cannot be revoked")
        })?;
        self.record(revocation).await
    }

    /// Revokes every token with this `sid`, for an application that makes its own session ids. To
    /// end a session of [`Sessions`](crate::Sessions), call [`end`](crate::Sessions::end) instead.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](AuthErrorKind::Unavailable): the store is unavailable, and the tokens may
    ///   still be valid.
    /// - [`Internal`](AuthErrorKind::Internal): no store is configured.
    pub async fn revoke_session(&self, sid: &str) -> Result<(), AuthError> {
        let until = self.forgotten_at(self.longest_ttl());
        self.record(Revocation::session(self.issuer(), sid, until))
            .await
    }

    /// Revokes every token that was issued to the subject up to now. If you use sessions, call
    /// [`Sessions::end_all`](crate::Sessions::end_all) instead, which also does this.
    ///
    /// A token that was issued before the call is refused, and one that is issued afterwards is valid, even
    /// within the same second. Between nodes, "before" is as exact as their clocks agree. If the clock of this
    /// node was set back, tokens that it issues until the clock has caught up are refused, too.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](AuthErrorKind::Unavailable): the store is unavailable, and the tokens may
    ///   still be valid.
    /// - [`Internal`](AuthErrorKind::Internal): no store is configured.
    pub async fn revoke_subject(&self, sub: &str) -> Result<(), AuthError> {
        self.record(self.subject_revocation(sub)).await
    }

    async fn record(&self, revocation: Revocation) -> Result<(), AuthError> {
        if self.inner.revocation.is_none() {
            return Err(AuthError::new(AuthErrorKind::Internal)
                .because("no revocation store is configured: call `.revocation(store)`"));
        }
        // The revocation must be recorded even if the request is dropped.
        let this = self.clone();
        let recorded = async move { this.record_all(&[revocation]).await };
        Ok(to_the_end(recorded).await??)
    }

    /// Records revocations, if there is a store.
    pub(crate) async fn record_all(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        match &self.inner.revocation {
            Some(store) => {
                for some in revocations.chunks(MAX_AT_ONCE) {
                    in_time(REVOCATION_TIMEOUT, store.revoke(some)).await?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Returns whether a revocation covers the token. Without a store, none does.
    pub(crate) async fn is_revoked(&self, query: RevocationQuery<'_>) -> Result<bool, StoreError> {
        match &self.inner.revocation {
            Some(store) => in_time(REVOCATION_TIMEOUT, store.is_revoked(query)).await,
            None => Ok(false),
        }
    }

    /// Creates the revocation of everything that was issued to the subject up to this call.
    pub(crate) fn subject_revocation(&self, sub: &str) -> Revocation {
        let cutoff = self.inner.stamps.cutoff(&*self.inner.clock);
        let until = self.forgotten_at(self.longest_ttl());
        Revocation::subject_at(self.issuer(), sub, cutoff, until)
    }

    /// Creates the revocation of a session's access tokens. The session store refuses its refresh
    /// tokens.
    pub(crate) fn session_revocation(&self, sid: &str) -> Revocation {
        let until = self.forgotten_at(self.inner.max_access_ttl);
        Revocation::session(self.issuer(), sid, until)
    }

    pub(crate) fn session_verifier(&self) -> &TokenVerifier {
        &self.inner.session_verifier
    }

    /// Lets every verifier of this issuer report which sessions are in use. Fails if this was
    /// called before.
    pub(crate) fn acknowledge_by(&self, acknowledger: Acknowledger) -> Result<(), Acknowledger> {
        self.inner.acknowledger.set(acknowledger)
    }

    /// Returns a stamp of the current time, which no other token of this process has.
    pub(crate) fn stamp(&self) -> u64 {
        self.inner.stamps.next(&*self.inner.clock)
    }

    /// Returns the current time, in microseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        unix_micros(self.inner.clock.now())
    }

    /// Returns the leeway of this issuer's verifiers.
    pub(crate) fn leeway(&self) -> Duration {
        self.inner.leeway
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.inner.issuer.as_deref()
    }

    fn longest_ttl(&self) -> Duration {
        self.inner.max_access_ttl.max(self.inner.refresh_ttl)
    }

    /// Returns the time from which no verifier accepts a token that is issued now with the lifetime
    /// `ttl`, whatever the leeway of the verifier and however much the clock of the issuer is ahead.
    /// Only this function decides how long a revocation is kept.
    fn forgotten_at(&self, ttl: Duration) -> SystemTime {
        self.inner.clock.now() + ttl + MAX_LEEWAY + MAX_LEEWAY
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
