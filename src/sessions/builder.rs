//! [`SessionsBuilder`]: the settings of sessions, checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Inner, MAX_CONCURRENT_CALLS, Sessions};
use crate::error::ConfigError;
use crate::event::{EventHook, SessionEvent};
use crate::issuer::{TokenIssuer, check_ttl};
use crate::session::{Acknowledger, DynSessionStore, SessionLimit, TimedStore, WhenFull};
use crate::store::{Calls, DEFAULT_SESSION_STORE_TIMEOUT};

/// The default idle timeout of a session: 15 days without a refresh.
pub const DEFAULT_IDLE_TTL: Duration = Duration::from_secs(1_296_000);
/// The default time for which a replaced refresh token is accepted as a concurrent request: 10
/// seconds, enough for two tabs and a slow network.
pub const DEFAULT_ROTATION_GRACE: Duration = Duration::from_secs(10);
/// The longest [`rotation_grace`](SessionsBuilder::rotation_grace) that can be set: 60 seconds. A
/// thief who refreshes within that time is only reported.
pub const MAX_ROTATION_GRACE: Duration = Duration::from_secs(60);
/// The default time for which a replaced refresh token is accepted after a lost response, in a
/// session of which no access token was ever seen in use: 60 seconds.
pub const DEFAULT_LOST_RESPONSE_GRACE: Duration = Duration::from_secs(60);
/// The longest [`lost_response_grace`](SessionsBuilder::lost_response_grace) that can be set: one hour.
pub const MAX_LOST_RESPONSE_GRACE: Duration = Duration::from_secs(3600);
/// The default number of lost responses in a row that ends a session: 5.
pub const DEFAULT_MAX_LOST_RESPONSES: u32 = 5;

/// Builds [`Sessions`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct SessionsBuilder {
    tokens: TokenIssuer,
    store: Arc<dyn DynSessionStore>,
    store_timeout: Duration,
    idle_ttl: Duration,
    grace: Duration,
    lost_response_grace: Duration,
    max_lost_responses: u32,
    limit: Option<SessionLimit>,
    events: EventHook,
}

// === impl SessionsBuilder ===

impl SessionsBuilder {
    pub(super) fn new(tokens: TokenIssuer, store: Arc<dyn DynSessionStore>) -> Self {
        Self {
            tokens,
            store,
            store_timeout: DEFAULT_SESSION_STORE_TIMEOUT,
            idle_ttl: DEFAULT_IDLE_TTL,
            grace: DEFAULT_ROTATION_GRACE,
            lost_response_grace: DEFAULT_LOST_RESPONSE_GRACE,
            max_lost_responses: DEFAULT_MAX_LOST_RESPONSES,
            limit: None,
            events: EventHook::default(),
        }
    }

    /// Sets the idle timeout: a session that is not refreshed for this long is over. The default
    /// is 15 days. The absolute end is the issuer's
    /// [`refresh_ttl`](crate::issuer::TokenIssuerBuilder::refresh_ttl).
    pub fn idle_ttl(mut self, ttl: Duration) -> Self {
        self.idle_ttl = ttl;
        self
    }

    /// Sets how long a replaced refresh token is accepted as a concurrent request, such as from a
    /// second tab: 10 seconds by default, at most 60.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long a replaced refresh token is accepted after a lost response, in a session of
    /// which no access token was ever seen in use: 60 seconds by default, at most one hour.
    ///
    /// If an access token of the session was seen before, there is no such limit. As long as nobody
    /// uses the successor, a client that retries with the old token is the one that did not get it.
    pub fn lost_response_grace(mut self, limit: Duration) -> Self {
        self.lost_response_grace = limit;
        self
    }

    /// Sets the number of lost responses in a row that ends a session as stolen: 5 by default. A
    /// client that loses that many responses one after the other looks like a thief who stays one
    /// step behind.
    pub fn max_lost_responses(mut self, count: u32) -> Self {
        self.max_lost_responses = count;
        self
    }

    /// Sets how many live sessions a subject may have, and what happens when another is opened.
    /// There is no limit by default.
    pub fn limit(mut self, max: u32, when_full: WhenFull) -> Self {
        self.limit = Some(SessionLimit::new(max, when_full));
        self
    }

    /// Sets the longest time that a call to the store may take: 2 seconds by default. If a call
    /// takes longer, the store counts as unavailable, and the response is a 503.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets a function that is called after each [event](SessionEvent) of a session. It must not
    /// block. If it panics, only this one call is lost.
    pub fn on_event(mut self, hook: impl Fn(&SessionEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = EventHook::new(hook);
        self
    }

    /// Builds the sessions. From then on the verifiers of the issuer report which sessions are in
    /// use.
    ///
    /// # Errors
    ///
    /// Fails if the idle timeout is under a second or over 100 years, if the store timeout is zero,
    /// if the rotation grace is over 60 seconds or the time for a lost response over an hour, if the
    /// limit of sessions or of lost responses is zero, or if sessions were already built from this
    /// issuer.
    pub fn build(self) -> Result<Sessions, ConfigError> {
        let invalid = |what: &str| Err(ConfigError::invalid(what));
        if self.grace > MAX_ROTATION_GRACE {
            return Err(ConfigError::RotationGraceTooLong);
        }
        if self.limit.is_some_and(|limit| limit.max == 0) {
            return Err(ConfigError::NoSessionsAllowed);
        }
        check_ttl(self.idle_ttl).map_err(|_| ConfigError::InvalidLifetime)?;
        if self.lost_response_grace > MAX_LOST_RESPONSE_GRACE {
            return invalid(
                "`lost_response_grace` is over one hour, during which a thief is not detected: set at \
                 most one hour",
            );
        }
        if self.max_lost_responses == 0 {
            return invalid(
                "`max_lost_responses` is 0, so the first lost response would end a session: set at \
                 least 1",
            );
        }
        if self.store_timeout.is_zero() {
            return invalid(
                "`store_timeout` is zero, so no call could succeed: set it above zero, or leave it \
                 out for 2 seconds",
            );
        }
        let store = TimedStore::new(self.store, self.store_timeout);
        let acknowledger = Acknowledger::new(store.clone());
        if self.tokens.acknowledge_by(acknowledger).is_err() {
            return invalid(
                "sessions were already built from this issuer: clone `Sessions` instead of \
                 building it twice",
            );
        }
        Ok(Sessions {
            inner: Arc::new(Inner {
                tokens: self.tokens,
                store,
                idle_ttl: self.idle_ttl,
                grace: self.grace,
                lost_response_grace: self.lost_response_grace,
                max_lost_responses: self.max_lost_responses,
                limit: self.limit,
                events: self.events,
                calls: Calls::new(MAX_CONCURRENT_CALLS),
            }),
        })
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("tokens", &self.tokens)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
