//! A store that counts calls, fails, hangs, is slow or holds its answers back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tower_jwt_auth::credential::api_keys::{
    ApiKeyRecord, ApiKeyStore, ApiKeyTarget, MemoryApiKeys, RevokedApiKey,
};
use tower_jwt_auth::store::StoreError;

use crate::sessions::store::Mode;

#[derive(Clone, Default)]
pub(super) struct TestKeys {
    pub(super) inner: MemoryApiKeys,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mode: Mode,
    calls: BTreeMap<&'static str, u32>,
    /// The result is returned only when this gate is opened.
    gate: Option<Arc<Semaphore>>,
}

impl TestKeys {
    pub(super) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// Returns how often this method was called.
    pub(super) fn calls(&self, method: &str) -> u32 {
        let state = self.state.lock().unwrap();
        state.calls.get(method).copied().unwrap_or(0)
    }

    /// Returns how often any method was called.
    pub(super) fn all_calls(&self) -> u32 {
        self.state.lock().unwrap().calls.values().sum()
    }

    /// Lets look-ups read the store, and holds their results back until the gate is opened.
    pub(super) fn hold_answers(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.state.lock().unwrap().gate = Some(Arc::clone(&gate));
        gate
    }

    async fn called(&self, method: &'static str) -> Result<Mode, StoreError> {
        let mode = {
            let mut state = self.state.lock().unwrap();
            *state.calls.entry(method).or_default() += 1;
            state.mode
        };
        mode.before().await?;
        Ok(mode)
    }
}

impl std::fmt::Debug for TestKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl ApiKeyStore for TestKeys {
    async fn insert(&self, key: &ApiKeyRecord, max: u32) -> Result<bool, StoreError> {
        let mode = self.called("insert").await?;
        let stored = self.inner.insert(key, max).await;
        mode.after().await;
        if mode == Mode::LosesAnswers {
            return Err(StoreError::new("no answer"));
        }
        stored
    }

    async fn find(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
        let mode = self.called("find").await?;
        let found = self.inner.find(id).await;
        mode.after().await;
        let gate = self.state.lock().unwrap().gate.clone();
        if let Some(gate) = gate {
            let _ = gate.acquire().await;
        }
        found
    }

    async fn list(&self, owner: &str) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.called("list").await?;
        self.inner.list(owner).await
    }

    async fn revoke(
        &self,
        target: ApiKeyTarget<'_>,
        limit: u32,
    ) -> Result<Vec<RevokedApiKey>, StoreError> {
        let mode = self.called("revoke").await?;
        let revoked = self.inner.revoke(target, limit).await;
        mode.after().await;
        if mode == Mode::LosesAnswers {
            return Err(StoreError::new("no answer"));
        }
        revoked
    }

    async fn record_use(&self, id: &str, at: u64) -> Result<(), StoreError> {
        self.called("used").await?;
        self.inner.record_use(id, at).await
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        self.called("clean_up").await?;
        self.inner.clean_up(before, limit).await
    }
}
