//! The store of the model: in-memory sessions, slow enough to be interrupted.

use std::sync::{Arc, Mutex};

use tower_jwt_auth::sessions::{
    CreateOutcome, EndSessions, EndedSession, MemorySessions, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget,
};
use tower_jwt_auth::store::StoreError;

/// In-memory sessions, slow enough to be interrupted, which can lose the index of subjects.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) sessions: MemorySessions,
    pub(super) lost_index: Arc<Mutex<bool>>,
}

pub(super) async fn slowly() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}

impl SessionStore for Store {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        slowly().await;
        self.sessions.create(session, limit).await
    }
    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        slowly().await;
        let after = self.sessions.rotate(rotation).await;
        slowly().await;
        after
    }
    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        self.sessions.acknowledge(session, generation).await
    }
    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        self.sessions.list(subject, now).await
    }
    async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        slowly().await;
        let lost = *self.lost_index.lock().unwrap();
        let ended = match end.target {
            SessionTarget::Subject(_) | SessionTarget::OthersOf { .. } if lost => Vec::new(),
            _ => self.sessions.end(end).await?,
        };
        slowly().await;
        Ok(ended)
    }
    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        self.sessions.clean_up(before, limit).await
    }
}
