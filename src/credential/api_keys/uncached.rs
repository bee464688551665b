//! [`KeyCache`] without the feature `cache`: it keeps nothing, and each request asks the store.

use std::sync::Arc;
use std::time::Duration;

use super::known::Known;
use crate::store::StoreError;

/// Keeps nothing.
pub(super) struct KeyCache;

// === impl KeyCache ===

impl KeyCache {
    pub(super) const fn new(_keys: u64, _lag: Duration) -> Self {
        Self
    }

    pub(super) fn peek(&self, _id: &str, _now: u64) -> Option<Option<Arc<Known>>> {
        None
    }

    /// Always returns `true`, so no look-up waits for its turn: without a cache, keys in use cannot be told
    /// from invented ones.
    pub(super) const fn was_known(&self, _id: &str) -> bool {
        true
    }

    pub(super) const fn known_of(&self, _owner: &str) -> Vec<String> {
        Vec::new()
    }

    /// Asks for a key. The store has its own time limit.
    pub(super) async fn look_up<F>(
        &self,
        _id: &str,
        _timeout: Duration,
        _now: impl Fn() -> u64,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Known>>, StoreError>
    where
        F: Future<Output = Result<Option<Known>, StoreError>>,
    {
        Ok(ask().await?.map(Arc::new))
    }
}
