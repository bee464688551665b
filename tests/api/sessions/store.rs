//! Stores that count, fail, hang, are slow, and lose what a store may lose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::{
    CreateOutcome, EndSessions, EndedSession, MemorySessions, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget,
};
use tower_jwt_auth::store::StoreError;

/// What happens to every call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Up,
    Down,
    Hangs,
    /// The work is done, but the result does not arrive.
    LosesAnswers,
    /// The call yields this many times before and after the work.
    Slow(u32),
}

impl Mode {
    pub(crate) async fn before(self) -> Result<(), StoreError> {
        match self {
            Self::Up | Self::LosesAnswers => Ok(()),
            Self::Down => Err(StoreError::new("down")),
            Self::Hangs => std::future::pending().await,
            Self::Slow(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }

    pub(crate) async fn after(self) {
        if let Self::Slow(turns) = self {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct TestStore {
    pub(crate) inner: MemorySessions,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mode: Mode,
    calls: BTreeMap<&'static str, u32>,
    index_is_lost: bool,
}

impl TestStore {
    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// Returns how often this method was called.
    pub(crate) fn calls(&self, method: &str) -> u32 {
        let state = self.state.lock().unwrap();
        state.calls.get(method).copied().unwrap_or(0)
    }

    /// The subject's index loses its entries, as Redis may do in a failover.
    pub(crate) fn lose_index(&self) {
        self.state.lock().unwrap().index_is_lost = true;
    }

    pub(crate) async fn record(&self, id: &str) -> SessionRecord {
        let look = Rotation::new(id, 1 << 62, "looks", 0);
        self.inner.rotate(&look).await.unwrap().unwrap()
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

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl SessionStore for TestStore {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let mode = self.called("create").await?;
        let created = self.inner.create(session, limit).await;
        mode.after().await;
        if mode == Mode::LosesAnswers {
            return Err(StoreError::new("no answer"));
        }
        created
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let mode = self.called("rotate").await?;
        let rotated = self.inner.rotate(rotation).await;
        mode.after().await;
        rotated
    }

    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        self.called("acknowledge").await?;
        self.inner.acknowledge(session, generation).await
    }

    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        self.called("list").await?;
        self.inner.list(subject, now).await
    }

    async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        let mode = self.called("end").await?;
        let by_index = matches!(
            end.target,
            SessionTarget::Subject(_) | SessionTarget::OthersOf { .. }
        );
        let is_lost = self.state.lock().unwrap().index_is_lost;
        let ended = match by_index && is_lost {
            true => Vec::new(),
            false => self.inner.end(end).await?,
        };
        mode.after().await;
        Ok(ended)
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        self.called("clean_up").await?;
        self.inner.clean_up(before, limit).await
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TestRevocations {
    inner: MemoryRevocations,
    mode: Arc<Mutex<Mode>>,
}

impl TestRevocations {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        Self {
            inner: MemoryRevocations::with_clock(clock.clone()),
            mode: Arc::default(),
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }
}

impl RevocationStore for TestRevocations {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let mode = self.mode();
        mode.before().await?;
        self.inner.revoke(revocations).await?;
        mode.after().await;
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        self.mode().before().await?;
        self.inner.is_revoked(query).await
    }
}
