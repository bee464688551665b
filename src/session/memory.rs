//! [`MemorySessions`]: the sessions of this process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::{EndReason, SessionRecord};
use super::rotation::Rotation;
use super::store::{Created, SessionLimit, SessionStore, SessionTarget, WhenFull};
use crate::store::StoreError;

/// How many sessions of one subject are listed at most.
const MAX_LISTED: usize = 1000;

/// Sessions in the memory of this process: for one node, until it restarts.
///
/// Clones share the sessions. Nothing is removed before
/// [`clean_up`](SessionStore::clean_up) is called.
#[derive(Debug, Clone, Default)]
pub struct MemorySessions {
    sessions: Arc<Mutex<Sessions>>,
}

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<String, SessionRecord>,
    by_subject: HashMap<String, HashSet<String>>,
}

// === impl MemorySessions ===

impl MemorySessions {
    /// No sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many sessions are kept, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemorySessions {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<Created, StoreError> {
        let mut sessions = self.lock();
        let mut ended = Vec::new();
        if let Some(limit) = limit {
            let live = sessions.live_of(&session.subject, session.created_at);
            let max = usize::try_from(limit.max).unwrap_or(usize::MAX);
            let excess = (live.len() + 1).saturating_sub(max);
            if excess > 0 && limit.when_full == WhenFull::Refuse {
                return Ok(Created::Full);
            }
            // The one used last comes first.
            for id in live.into_iter().rev().take(excess).map(|record| record.id) {
                sessions.end(&id, EndReason::Replaced, session.created_at);
                ended.push(id);
            }
        }
        let ids = sessions
            .by_subject
            .entry(session.subject.clone())
            .or_default();
        ids.insert(session.id.clone());
        sessions.by_id.insert(session.id.clone(), session.clone());
        Ok(Created::Opened { ended })
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let mut sessions = self.lock();
        let Some(record) = sessions.by_id.get_mut(&rotation.session) else {
            return Ok(None);
        };
        rotation.apply(record);
        Ok(Some(record.clone()))
    }

    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        let mut sessions = self.lock();
        if let Some(record) = sessions.by_id.get_mut(session) {
            record.acknowledged |= record.generation == generation;
        }
        Ok(())
    }

    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        let mut live = self.lock().live_of(subject, now);
        live.truncate(MAX_LISTED);
        Ok(live)
    }

    async fn end(
        &self,
        target: SessionTarget<'_>,
        reason: EndReason,
        now: u64,
    ) -> Result<Vec<String>, StoreError> {
        let mut sessions = self.lock();
        let ids: Vec<String> = match target {
            SessionTarget::Session(session) => {
                let found = sessions
                    .by_id
                    .get(session)
                    .filter(|record| record.is_live(now));
                found.map(|record| record.id.clone()).into_iter().collect()
            }
            SessionTarget::SessionOf { session, subject } => {
                let live = sessions.live_of(subject, now).into_iter();
                live.map(|record| record.id)
                    .filter(|id| id == session)
                    .collect()
            }
            SessionTarget::OthersOf { session, subject } => {
                let live = sessions.live_of(subject, now).into_iter();
                live.map(|record| record.id)
                    .filter(|id| id != session)
                    .collect()
            }
            SessionTarget::Subject(subject) => sessions
                .live_of(subject, now)
                .into_iter()
                .map(|record| record.id)
                .collect(),
        };
        for id in &ids {
            sessions.end(id, reason, now);
        }
        Ok(ids)
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        let mut sessions = self.lock();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let over = |record: &&SessionRecord| match record.ended_at {
            Some(at) => at < before,
            None => !record.is_live(before),
        };
        let over = sessions.by_id.values().filter(over).take(limit);
        let over: Vec<_> = over
            .map(|record| (record.id.clone(), record.subject.clone()))
            .collect();
        for (id, subject) in &over {
            sessions.by_id.remove(id);
            if let Some(ids) = sessions.by_subject.get_mut(subject) {
                ids.remove(id);
                if ids.is_empty() {
                    sessions.by_subject.remove(subject);
                }
            }
        }
        Ok(over.len() as u64)
    }
}

// === impl Sessions ===

impl Sessions {
    /// The live sessions of a subject, the one used last first.
    fn live_of(&self, subject: &str, now: u64) -> Vec<SessionRecord> {
        let ids = self.by_subject.get(subject).into_iter().flatten();
        let mut live: Vec<_> = ids
            .filter_map(|id| self.by_id.get(id))
            .filter(|record| record.is_live(now))
            .cloned()
            .collect();
        live.sort_by(|a, b| (b.last_used_at, &b.id).cmp(&(a.last_used_at, &a.id)));
        live
    }

    fn end(&mut self, id: &str, reason: EndReason, now: u64) {
        if let Some(record) = self.by_id.get_mut(id) {
            record.ended_at = Some(now);
            record.end_reason = Some(reason);
        }
    }
}
