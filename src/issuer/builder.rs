//! [`TokenIssuerBuilder`]: what an issuer signs with and says, checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::keys::IssuerKeys;
use super::request::check_ttl;
use super::sessions::Sessions;
use super::{
    DEFAULT_ACCESS_TTL, DEFAULT_REFRESH_TTL, DEFAULT_ROTATION_GRACE, DEFAULT_SESSION_IDLE_TTL,
    Inner, MAX_ROTATION_GRACE, TokenIssuer,
};
use crate::claims::TokenType;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::event::{AuthEvent, EventHook};
use crate::jti::Stamps;
use crate::keys::VerifyingKey;
use crate::policy::DEFAULT_LEEWAY;
use crate::revocation::{DynRevocationStore, RevocationStore};
use crate::session::{Acknowledger, DynSessionStore, SessionLimit, SessionStore, WhenFull};

/// Builds a [`TokenIssuer`].
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
    refresh_ttl: Duration,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    revocation: Option<Arc<dyn DynRevocationStore>>,
    sessions: Option<Arc<dyn DynSessionStore>>,
    session_idle_ttl: Duration,
    rotation_grace: Duration,
    session_limit: Option<SessionLimit>,
    events: EventHook,
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
            refresh_ttl: DEFAULT_REFRESH_TTL,
            leeway: DEFAULT_LEEWAY,
            clock: Arc::new(SystemClock),
            revocation: None,
            sessions: None,
            session_idle_ttl: DEFAULT_SESSION_IDLE_TTL,
            rotation_grace: DEFAULT_ROTATION_GRACE,
            session_limit: None,
            events: EventHook::default(),
            #[cfg(feature = "cache")]
            cached_tokens: None,
        }
    }

    /// The `iss` of every token: commonly the https URL of the service.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `aud` of every token: whom it is for. Again for another one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Issues tokens without `iss`, and accepts them.
    ///
    /// # Security
    ///
    /// Sound only where this key signs for nobody else.
    pub fn dangerous_no_issuer(mut self) -> Self {
        self.no_issuer = true;
        self
    }

    /// Issues tokens without `aud`, and accepts them.
    ///
    /// # Security
    ///
    /// Every service that trusts this key accepts every token (RFC 8725 section 3.9).
    pub fn dangerous_no_audience(mut self) -> Self {
        self.no_audience = true;
        self
    }

    /// Still accepts tokens that were signed with this key, which is not in the ring if there is one.
    /// Again for another one.
    pub fn previous_key(mut self, key: VerifyingKey) -> Self {
        self.previous.push(key);
        self
    }

    /// How long access tokens live; 900 seconds by default.
    ///
    /// The issuer's verifiers refuse tokens that were issued for longer than the longer of the two
    /// lifetimes: after one was shortened, older tokens that live longer are refused as well.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// How long refresh tokens live; 2,592,000 seconds (30 days) by default.
    pub fn refresh_ttl(mut self, ttl: Duration) -> Self {
        self.refresh_ttl = ttl;
        self
    }

    /// By how much the clocks of verifiers may differ: 30 seconds by default, 300 at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Where revocations are recorded, and looked up by the verifiers. The store reads its own
    /// clock: give it the same one in tests.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.revocation = Some(Arc::new(store));
        self
    }

    /// Where sessions are kept, for [`open_session`](TokenIssuer::open_session) and
    /// [`rotate`](TokenIssuer::rotate). A session ends after the lifetime of a refresh token,
    /// however much it is used.
    pub fn sessions(mut self, store: impl SessionStore) -> Self {
        self.sessions = Some(Arc::new(store));
        self
    }

    /// After which time without a refresh a session ends; 15 days by default.
    pub fn session_idle_ttl(mut self, ttl: Duration) -> Self {
        self.session_idle_ttl = ttl;
        self
    }

    /// For how long the last refresh token is still good, for two tabs that refresh at once;
    /// 10 seconds by default, at most 60.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.rotation_grace = grace;
        self
    }

    /// How many live sessions a subject may have, and what happens to one more. No limit by default.
    pub fn session_limit(mut self, max: u32, when_full: WhenFull) -> Self {
        self.session_limit = Some(SessionLimit { max, when_full });
        self
    }

    /// Is told what happens to sessions. It is called in the middle of requests: it must not block.
    pub fn on_event(mut self, hook: impl Fn(&AuthEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = EventHook::new(hook);
        self
    }

    /// For how many access tokens its verifiers remember that their signature was good: see
    /// [`TokenVerifierBuilder::cached_tokens`](crate::verifier::TokenVerifierBuilder::cached_tokens).
    /// 16,384 by default, and none where the key is a secret.
    #[cfg(feature = "cache")]
    pub fn cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = Some(count);
        self
    }

    /// Reads the time from this clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The issuer.
    ///
    /// # Errors
    ///
    /// No issuer or audience, and no word that this is meant; a lifetime under a second or
    /// over 100 years; a leeway over 300 seconds; a grace over 60 seconds; a limit of no
    /// sessions; two keys with one id.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        if self.rotation_grace > MAX_ROTATION_GRACE {
            return Err(ConfigError::RotationGraceTooLong);
        }
        if self.session_limit.is_some_and(|limit| limit.max == 0) {
            return Err(ConfigError::NoSessionsAllowed);
        }
        for ttl in [self.access_ttl, self.refresh_ttl, self.session_idle_ttl] {
            check_ttl(ttl).map_err(|_| ConfigError::InvalidLifetime)?;
        }
        let longest_ttl = self.access_ttl.max(self.refresh_ttl);
        let mut verifier = self
            .keys
            .verifier(&self.previous)?
            .leeway(self.leeway)
            .max_lifetime(longest_ttl)
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
        // A refresh token comes once.
        #[cfg(feature = "cache")]
        let once = verifier.clone().cached_tokens(0);
        #[cfg(not(feature = "cache"))]
        let once = verifier.clone();
        let acknowledger = self.sessions.clone().map(Acknowledger::new);
        let sessions = self.sessions.map(|store| Sessions {
            store,
            idle_ttl: self.session_idle_ttl,
            grace: self.rotation_grace,
            limit: self.session_limit,
            events: self.events,
        });
        let access_verifier = verifier.clone().acknowledger(acknowledger).build()?;
        let refresh_verifier = once.token_type(TokenType::Refresh).build()?;
        if let IssuerKeys::Ring(ring) = &self.keys {
            // A key is not removed before the last token that it signed is over.
            ring.retire_for_at_least(longest_ttl + self.leeway);
        }
        Ok(TokenIssuer {
            inner: Arc::new(Inner {
                sessions,
                access_verifier,
                refresh_verifier,
                keys: self.keys,
                previous: self.previous,
                issuer: self.issuer,
                audience: self.audiences.into_iter().collect(),
                access_ttl: self.access_ttl,
                refresh_ttl: self.refresh_ttl,
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
