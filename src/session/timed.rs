//! [`TimedStore`]: a session store whose calls have a time limit.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::record::{EndedSession, SessionRecord};
use super::rotation::Rotation;
use super::store::{CreateOutcome, DynSessionStore, EndSessions, SessionLimit};
use crate::in_use::{Reporter, Reports};
use crate::store::{StoreError, in_time};

/// Reports which generation of a session is in use, once for each.
pub(crate) type Acknowledger = Reporter<TimedStore>;

/// The acknowledger of a verifier. It stays empty until sessions are built on the same issuer.
pub(crate) type AcknowledgerSlot = Arc<OnceLock<Acknowledger>>;

/// A shared session store with a time limit for each call.
#[derive(Debug, Clone)]
pub(crate) struct TimedStore {
    store: Arc<dyn DynSessionStore>,
    limit: Duration,
}

// === impl TimedStore ===

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn DynSessionStore>, limit: Duration) -> Self {
        Self { store, limit }
    }

    pub(crate) async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        self.timed(self.store.create(session, limit)).await
    }

    pub(crate) async fn rotate(
        &self,
        rotation: &Rotation,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.timed(self.store.rotate(rotation)).await
    }

    pub(crate) async fn list(
        &self,
        subject: &str,
        now: u64,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.timed(self.store.list(subject, now)).await
    }

    pub(crate) async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        self.timed(self.store.end(end)).await
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

impl Reports for TimedStore {
    async fn report(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        self.timed(self.store.acknowledge(session, generation))
            .await
    }
}
