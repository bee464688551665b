//! [`TokenIssuerBuilder`]: the keys and settings of an issuer, checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::keys::IssuerKeys;
use super::request::check_ttl;
use super::{DEFAULT_ACCESS_TTL, DEFAULT_REFRESH_TTL, Inner, TokenIssuer};
use crate::claims::TokenType;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::jti::Stamps;
use crate::keys::VerifyingKey;
use crate::policy::DEFAULT_LEEWAY;
use crate::revocation::{DynRevocationStore, RevocationStore};
use crate::session::AcknowledgerSlot;

/// Builds a [`TokenIssuer`]; made by [`TokenIssuer::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct TokenIssuerBuilder {
    keys: IssuerKeys,
    previous: Vec<VerifyingKey>,
    issuer: Option<String>,
    audiences: Vec<String>,
    no_issuer: bool,
    no_audience: bool,
    access_ttl: Duration,
    max_access_ttl: Option<Duration>,
    refresh_ttl: Duration,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    revocation: Option<Arc<dyn DynRevocationStore>>,
    #[cfg(feature = "cache")]
    cached_tokens: Option<usize>,
}

// === impl TokenIssuerBuilder ===

impl TokenIssuerBuilder {
    pub(super) fn new(keys: IssuerKeys) -> Self {
        Self {
            keys,
            previous: Vec::new(),
            issuer: None,
            audiences: Vec::new(),
            no_issuer: false,
            no_audience: false,
            access_ttl: DEFAULT_ACCESS_TTL,
            max_access_ttl: None,
            refresh_ttl: DEFAULT_REFRESH_TTL,
            leeway: DEFAULT_LEEWAY,
            clock: Arc::new(SystemClock),
            revocation: None,
            #[cfg(feature = "cache")]
            cached_tokens: None,
        }
    }

    /// Sets the issuer (`iss`) of every token, commonly the https URL of the service.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Adds an audience (`aud`) of every token: the service that the token is for. Call it again to
    /// add more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Issues tokens without `iss`, and accepts them.
    ///
    /// # Security
    ///
    /// This is only safe if no other service signs with this key.
    pub fn dangerous_no_issuer(mut self) -> Self {
        self.no_issuer = true;
        self
    }

    /// Issues tokens without `aud`, and accepts them.
    ///
    /// # Security
    ///
    /// Every service that trusts this key may then accept a token that is meant for another service
    /// (RFC 8725 section 3.9).
    pub fn dangerous_no_audience(mut self) -> Self {
        self.no_audience = true;
        self
    }

    /// Adds a key whose tokens are still accepted, although it no longer signs. If the issuer has a
    /// key ring, the key must not be in it. Call it again to add more.
    pub fn previous_key(mut self, key: VerifyingKey) -> Self {
        self.previous.push(key);
        self
    }

    /// Sets the lifetime of access tokens, in whole seconds; a fraction is dropped. The default is
    /// 900 seconds.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// Sets the longest lifetime that an access token may have, by
    /// [`ttl`](super::TokenRequest::ttl) or from an earlier deployment. The default is the
    /// [lifetime of access tokens](Self::access_ttl).
    ///
    /// No token with a longer lifetime is issued, the issuer's verifiers refuse one, and revocations
    /// are kept for this long. So no revoked token can become valid again.
    ///
    /// After you shorten the lifetime, older tokens that live longer are refused, and their owners
    /// refresh them. To keep them valid until they expire, set this to the old lifetime.
    pub fn max_access_ttl(mut self, ttl: Duration) -> Self {
        self.max_access_ttl = Some(ttl);
        self
    }

    /// Sets the lifetime of refresh tokens, and so of [sessions](crate::Sessions), in whole
    /// seconds; a fraction is dropped. The default is 2,592,000 seconds (30 days).
    ///
    /// If you deploy a shorter lifetime, open sessions that are older than it end.
    pub fn refresh_ttl(mut self, ttl: Duration) -> Self {
        self.refresh_ttl = ttl;
        self
    }

    /// Sets by how much the clocks of issuer and verifiers may differ: 30 seconds by default, at most
    /// 300.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets the store in which revocations are recorded, and in which the verifiers look them up.
    /// The store reads its own clock: in tests, give it the same one.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.revocation = Some(Arc::new(store));
        self
    }

    /// Sets the number of access tokens that each verifier caches, so that their signature is not checked
    /// again: 16,384 by default. See
    /// [`TokenVerifierBuilder::cached_tokens`](crate::verifier::TokenVerifierBuilder::cached_tokens).
    #[cfg(feature = "cache")]
    pub fn cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = Some(count);
        self
    }

    /// Sets the clock that the issuer and its verifiers read. The default is the clock of the system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the issuer.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - the issuer or the audience is missing, and no `dangerous_` setting allows that;
    /// - the issuer or an audience is empty, or begins or ends with white space;
    /// - a lifetime is shorter than 1 second or longer than 100 years;
    /// - [`max_access_ttl`](Self::max_access_ttl) is shorter than [`access_ttl`](Self::access_ttl);
    /// - the leeway is longer than 300 seconds;
    /// - two keys have the same id and algorithm.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        let whole = |ttl: Duration| Duration::from_secs(ttl.as_secs());
        let (access_ttl, refresh_ttl) = (whole(self.access_ttl), whole(self.refresh_ttl));
        let max_access_ttl = self.max_access_ttl.map_or(access_ttl, whole);
        for ttl in [access_ttl, max_access_ttl, refresh_ttl] {
            check_ttl(ttl).map_err(|_| ConfigError::InvalidLifetime)?;
        }
        if max_access_ttl < access_ttl {
            return Err(ConfigError::Invalid(format!(
                "the longest lifetime of access tokens ({} s) is below their default lifetime \
                 ({} s): raise `max_access_ttl` or lower `access_ttl`",
                max_access_ttl.as_secs(),
                access_ttl.as_secs()
            )));
        }
        let acknowledger = AcknowledgerSlot::default();
        let mut verifier = self
            .keys
            .verifier(&self.previous)?
            .leeway(self.leeway)
            .max_lifetime(max_access_ttl)
            .acknowledger(Arc::clone(&acknowledger))
            .shared_clock(Arc::clone(&self.clock))
            .shared_revocation(self.revocation.clone());
        if let Some(issuer) = &self.issuer {
            verifier = verifier.issuer(issuer);
        } else if self.no_issuer {
            verifier = verifier.dangerous_no_issuer();
        }
        for audience in &self.audiences {
            verifier = verifier.audience(audience);
        }
        if self.audiences.is_empty() && self.no_audience {
            verifier = verifier.dangerous_no_audience();
        }
        #[cfg(feature = "cache")]
        if let Some(count) = self.cached_tokens {
            verifier = verifier.cached_tokens(count);
        }
        // A refresh token is verified only once.
        #[cfg(feature = "cache")]
        let once = verifier.clone().cached_tokens(0);
        #[cfg(not(feature = "cache"))]
        let once = verifier.clone();
        let refresh = once
            .token_type(TokenType::Refresh)
            .acknowledger(AcknowledgerSlot::default());
        let access_verifier = verifier.clone().build()?;
        let refresh_verifier = refresh.clone().max_lifetime(refresh_ttl).build()?;
        // A session has its own expiry. `Sessions` looks up its revocation itself, and compares the key that
        // a token is bound to with that of the proof.
        let session_verifier = refresh
            .any_lifetime()
            .shared_revocation(None)
            .dangerous_accept_bound_tokens()
            .build()?;
        if let IssuerKeys::Ring(ring) = &self.keys {
            // A key is not removed before the last token that it signed has expired.
            ring.retire_for_at_least(max_access_ttl.max(refresh_ttl) + self.leeway);
        }
        Ok(TokenIssuer {
            inner: Arc::new(Inner {
                verifier_builder: verifier,
                access_verifier,
                refresh_verifier,
                session_verifier,
                acknowledger,
                keys: self.keys,
                previous: self.previous,
                issuer: self.issuer,
                audience: self.audiences.into_iter().collect(),
                access_ttl,
                max_access_ttl,
                refresh_ttl,
                leeway: self.leeway,
                clock: self.clock,
                stamps: Stamps::default(),
                revocation: self.revocation,
            }),
        })
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
