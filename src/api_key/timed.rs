//! [`TimedApiKeys`]: a store of API keys whose calls have a time limit.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::record::{ApiKeyRecord, RevokedApiKey};
use super::store::{ApiKeyTarget, DynApiKeyStore};
use crate::in_use::{Reporter, Reports};
use crate::store::{StoreError, in_time};

/// One minute, in microseconds.
const MINUTE: u64 = 60_000_000;
/// 2020-01-01, in minutes since the Unix epoch. Minutes are counted from there, because a [`Reporter`] takes
/// numbers below 2^24, which suffice for 31 years.
const FIRST_MINUTE: u64 = 26_297_280;

/// A shared store of API keys with a time limit for each call.
#[derive(Debug, Clone)]
pub(crate) struct TimedApiKeys {
    store: Arc<dyn DynApiKeyStore>,
    limit: Duration,
}

/// Reports when a key was last used, in the background, at most once per minute.
#[derive(Debug)]
pub(crate) struct LastUse {
    reporter: Reporter<TimedApiKeys>,
}

// === impl TimedApiKeys ===

impl TimedApiKeys {
    pub(crate) fn new(store: Arc<dyn DynApiKeyStore>, limit: Duration) -> Self {
        Self { store, limit }
    }

    /// Returns the time limit of each call.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) async fn insert(&self, key: &ApiKeyRecord, max: u32) -> Result<bool, StoreError> {
        self.timed(self.store.insert(key, max)).await
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.timed(self.store.find(id)).await
    }

    pub(crate) async fn list(&self, owner: &str) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.timed(self.store.list(owner)).await
    }

    pub(crate) async fn revoke(
        &self,
        target: ApiKeyTarget<'_>,
        limit: u32,
    ) -> Result<Vec<RevokedApiKey>, StoreError> {
        self.timed(self.store.revoke(target, limit)).await
    }

    pub(crate) async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        self.timed(self.store.clean_up(before, limit)).await
    }

    async fn timed<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        in_time(self.limit, call).await
    }
}

impl Reports for TimedApiKeys {
    async fn report(&self, id: &str, minute: u64) -> Result<(), StoreError> {
        let at = (FIRST_MINUTE + minute) * MINUTE;
        self.timed(self.store.record_use(id, at)).await
    }
}

// === impl LastUse ===

impl LastUse {
    pub(crate) fn new(store: TimedApiKeys) -> Self {
        Self {
            reporter: Reporter::new(store),
        }
    }

    /// Notes that a key was used at this time, in microseconds. A time before 2020 comes from a wrong clock
    /// and is ignored.
    pub(crate) fn seen(&self, id: &str, now: u64) {
        if let Some(minute) = (now / MINUTE).checked_sub(FIRST_MINUTE) {
            self.reporter.seen(id, minute);
        }
    }
}
