//! [`ApiKeysBuilder`]: the settings of API keys, checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

#[cfg(feature = "cache")]
use super::cache::KeyCache;
use super::core::{Core, KeyWorld, UNKNOWN_AT_ONCE};
use super::form::Form;
#[cfg(not(feature = "cache"))]
use super::uncached::KeyCache;
use super::{ApiKeys, Inner, MAX_CONCURRENT_CALLS};
use crate::api_key::{ApiKeyEvent, ApiKeyHook, DynApiKeyStore, LastUse, TimedApiKeys};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::revocation::{DynRevocationStore, MemoryRevocations, RevocationStore};
use crate::store::Calls;

/// The default cache period, for which a node caches a key: 5 seconds. It is the longest time for which a
/// revocation on another node goes unnoticed.
pub const DEFAULT_KEY_CACHE_FOR: Duration = Duration::from_secs(5);
/// The longest [`cache_for`](ApiKeysBuilder::cache_for) that can be set: 5 minutes. A revoked key must not be
/// accepted for longer.
pub const MAX_KEY_CACHE_FOR: Duration = Duration::from_secs(300);
/// The default time limit of a call to the store of keys: 2 seconds.
pub const DEFAULT_KEY_STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest [`store_timeout`](ApiKeysBuilder::store_timeout) that can be set: 60 seconds.
pub const MAX_KEY_STORE_TIMEOUT: Duration = Duration::from_secs(60);
/// The default number of keys that a subject may have: 50.
pub const DEFAULT_MAX_KEYS_PER_OWNER: u32 = 50;
/// The default number of keys that a node keeps in memory: 10,000.
#[cfg(feature = "cache")]
pub const DEFAULT_CACHED_KEYS: u64 = 10_000;

/// Builds [`ApiKeys`]; made by [`ApiKeys::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct ApiKeysBuilder {
    prefix: String,
    store: Arc<dyn DynApiKeyStore>,
    store_timeout: Duration,
    revocations: Option<Arc<dyn DynRevocationStore>>,
    clock: Arc<dyn Clock>,
    cache_for: Duration,
    issuer: Option<String>,
    cached_keys: u64,
    max_keys_per_owner: u32,
    events: ApiKeyHook,
}

// === impl ApiKeysBuilder ===

impl ApiKeysBuilder {
    pub(super) fn new(prefix: String, store: Arc<dyn DynApiKeyStore>) -> Self {
        Self {
            prefix,
            store,
            store_timeout: DEFAULT_KEY_STORE_TIMEOUT,
            revocations: None,
            clock: Arc::new(SystemClock),
            cache_for: DEFAULT_KEY_CACHE_FOR,
            issuer: None,
            #[cfg(feature = "cache")]
            cached_keys: DEFAULT_CACHED_KEYS,
            #[cfg(not(feature = "cache"))]
            cached_keys: 0,
            max_keys_per_owner: DEFAULT_MAX_KEYS_PER_OWNER,
            events: ApiKeyHook::default(),
        }
    }

    /// Sets the store of revocations through which other nodes learn of a revoked key before their
    /// [cache period](Self::cache_for) has passed. It may be the one of the tokens.
    ///
    /// Each request with a valid key asks it, as each request with a token does, so put a `CachedRevocations`
    /// in front of a database. If revocations are [pushed](crate::guide::revocation) to that cache, other
    /// nodes refuse a revoked key at once. The node that revokes a key does so in any case. If the store is
    /// unavailable, the response is a 503, unless the policy of the cache says otherwise.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.revocations = Some(Arc::new(store));
        self
    }

    /// Sets the clock: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets for how long a node caches a key: 5 seconds by default, at most 5 minutes. This is the longest
    /// time for which a revocation on another node goes unnoticed if it is not pushed. With zero, each
    /// request asks the store.
    ///
    /// A stream that waits for [`ended`](crate::VerifiedToken::ended) notices within twice the cache period.
    pub fn cache_for(mut self, duration: Duration) -> Self {
        self.cache_for = duration;
        self
    }

    /// Sets the issuer (`iss`) of the owners, if they are the subjects of your tokens: keys and tokens
    /// then name the same users. There is none by default.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the number of keys that a node keeps in memory: 10,000 by default, with about 1 KiB each. Further
    /// keys evict those that were used least recently.
    #[cfg(feature = "cache")]
    pub fn cached_keys(mut self, keys: u64) -> Self {
        self.cached_keys = keys;
        self
    }

    /// Sets the number of keys that a subject may have: 50 by default.
    pub fn max_keys_per_owner(mut self, keys: u32) -> Self {
        self.max_keys_per_owner = keys;
        self
    }

    /// Sets the longest time that a call to a store may take: 2 seconds by default, at most 60. If a call
    /// takes longer, the store counts as unavailable, and the response is a 503.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets a function that is called after each [event](ApiKeyEvent) of a key. It must not block. If it
    /// panics, the panic is caught.
    pub fn on_event(mut self, hook: impl Fn(&ApiKeyEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = ApiKeyHook::new(hook);
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    ///
    /// Fails if the prefix is malformed, if the cache period is longer than 5 minutes, if the store timeout
    /// is zero or longer than 60 seconds, or if the number of keys per owner is zero.
    pub fn build(self) -> Result<ApiKeys, ConfigError> {
        let invalid = |what: &str| Err(ConfigError::Invalid(what.to_owned()));
        let form = Form::new(&self.prefix)?;
        if self.cache_for > MAX_KEY_CACHE_FOR {
            return invalid(
                "`cache_for` is longer than 5 minutes, and a revoked API key would be accepted for that long: set at \
                 most 5 minutes",
            );
        }
        if self.store_timeout.is_zero() || self.store_timeout > MAX_KEY_STORE_TIMEOUT {
            return invalid(
                "`store_timeout` must be above zero and at most 60 seconds: set another one, or leave \
                 it out for 2 seconds",
            );
        }
        if self.max_keys_per_owner == 0 {
            return invalid(
                "`max_keys_per_owner` is 0, so no API key could be created: set at least 1",
            );
        }
        let store = TimedApiKeys::new(self.store, self.store_timeout);
        let core = Arc::new(Core {
            last_use: LastUse::new(store.clone()),
            store,
            fresh: MemoryRevocations::with_shared_clock(Arc::clone(&self.clock)),
            clock: self.clock,
            cache_for: self.cache_for,
            issuer: self.issuer,
            cache: KeyCache::new(self.cached_keys, self.cache_for),
            places: Semaphore::new(UNKNOWN_AT_ONCE),
            revocations: self.revocations,
            events: self.events,
        });
        Ok(ApiKeys {
            inner: Arc::new(Inner {
                world: Arc::new(KeyWorld::new(&core)),
                core,
                form,
                max_keys_per_owner: self.max_keys_per_owner,
                calls: Calls::new(MAX_CONCURRENT_CALLS),
            }),
        })
    }
}

impl fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeysBuilder")
            .field("prefix", &self.prefix)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
