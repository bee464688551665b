//! [`MemorySessions`]: sessions in the memory of this process.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::{EndReason, EndedSession, SessionRecord};
use super::rotation::Rotation;
use super::store::{
    CreateOutcome, EndSessions, SessionLimit, SessionStore, SessionTarget, WhenFull,
};
use crate::store::StoreError;

/// The largest number of sessions of one subject that are listed.
const MAX_LISTED: usize = 1000;
/// The number of parts, each with its own lock.
const PARTS: usize = 32;

/// Keeps sessions in the memory of this process, for one node. A restart forgets them, so every
/// user then has to log in again.
///
/// Clones share the sessions. A session is only removed by a clean-up: call
/// [`Sessions::clean_up_every`](crate::Sessions::clean_up_every), or memory grows with each login.
#[derive(Clone)]
pub struct MemorySessions {
    inner: Arc<Inner>,
}

struct Inner {
    /// By session id.
    sessions: [Mutex<Part>; PARTS],
    /// By subject: its session ids. An id may be left over from a session that was removed.
    ///
    /// Code that locks one of these and one of the parts above locks this one first.
    subjects: [Mutex<HashMap<String, HashSet<String>>>; PARTS],
    hasher: RandomState,
}

#[derive(Default)]
struct Part {
    by_id: HashMap<String, SessionRecord>,
    /// The times at which to check whether a session can be removed. A session that was used since
    /// is entered again at that check, so a refresh need not change this.
    due: BTreeSet<(u64, String)>,
}

// === impl MemorySessions ===

impl MemorySessions {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many sessions are stored, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner
            .sessions
            .iter()
            .map(|part| lock(part).by_id.len())
            .sum()
    }

    /// Returns whether no session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, session: &str) -> MutexGuard<'_, Part> {
        lock(&self.inner.sessions[self.number(session)])
    }

    fn subject(&self, subject: &str) -> MutexGuard<'_, HashMap<String, HashSet<String>>> {
        lock(&self.inner.subjects[self.number(subject)])
    }

    fn number(&self, key: &str) -> usize {
        // The high bits are as good as any: the maps inside use hashers of their own.
        usize::try_from(self.inner.hasher.hash_one(key) >> 32).unwrap_or_default() % PARTS
    }

    /// Reads each session of a list, and keeps what `read` returns.
    fn read<T>(
        &self,
        ids: impl IntoIterator<Item = impl AsRef<str>>,
        read: impl Fn(&SessionRecord) -> Option<T>,
    ) -> Vec<T> {
        ids.into_iter()
            .filter_map(|id| read(self.part(id.as_ref()).by_id.get(id.as_ref())?))
            .collect()
    }

    /// The live sessions among `ids`, most recently used first.
    fn live(&self, ids: &HashSet<String>, now: u64) -> Vec<(u64, String)> {
        let mut live = self.read(ids, |record| {
            record
                .is_live(now)
                .then(|| (record.last_used_at, record.id.clone()))
        });
        live.sort_by(|a, b| b.cmp(a));
        live
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                sessions: std::array::from_fn(|_| Mutex::default()),
                subjects: std::array::from_fn(|_| Mutex::default()),
                hasher: RandomState::new(),
            }),
        }
    }
}

impl fmt::Debug for MemorySessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessions").finish_non_exhaustive()
    }
}

impl SessionStore for MemorySessions {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let mut subjects = self.subject(&session.subject);
        let ids = subjects.entry(session.subject.clone()).or_default();
        let (mut ended, now) = (Vec::new(), session.created_at);
        if let Some(limit) = limit {
            let live = self.live(ids, now);
            let max = usize::try_from(limit.max).unwrap_or(usize::MAX);
            let excess = (live.len() + 1).saturating_sub(max);
            if excess > 0 && limit.when_full == WhenFull::Refuse {
                return Ok(CreateOutcome::Full);
            }
            for (_, id) in live.into_iter().rev().take(excess) {
                let one = EndSessions::new(SessionTarget::Session(&id), EndReason::Replaced, now);
                ended.extend(self.part(&id).end(&id, one));
            }
        }
        ids.insert(session.id.clone());
        let mut part = self.part(&session.id);
        part.due.insert((over_at(session), session.id.clone()));
        part.by_id.insert(session.id.clone(), session.clone());
        Ok(CreateOutcome::Opened { ended })
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let mut part = self.part(&rotation.session);
        let Some(record) = part.by_id.get_mut(&rotation.session) else {
            return Ok(None);
        };
        let was_ended = record.ended_at.is_some();
        rotation.apply(record);
        let after = record.clone();
        if !was_ended && let Some(at) = after.ended_at {
            part.due.insert((at, after.id.clone()));
        }
        Ok(Some(after))
    }

    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        let mut part = self.part(session);
        if let Some(record) = part.by_id.get_mut(session)
            && record.generation == generation
        {
            record.acknowledged = Some(generation);
        }
        Ok(())
    }

    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        let ids = self
            .subject(subject)
            .get(subject)
            .cloned()
            .unwrap_or_default();
        let mut live = self.live(&ids, now);
        live.truncate(MAX_LISTED);
        let ids = live.into_iter().map(|(_, id)| id);
        Ok(self.read(ids, |record| Some(record.clone())))
    }

    async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        let of_subject = |subject: &str, wanted: &dyn Fn(&str) -> bool| {
            // The lock orders each login of this subject before or after all of this.
            let subjects = self.subject(subject);
            let ids = subjects.get(subject).into_iter().flatten();
            let ids: Vec<&String> = ids.filter(|id| wanted(id)).collect();
            let limit = usize::try_from(end.limit).unwrap_or(usize::MAX);
            // Those that have not been ended come first.
            let mut ended: Vec<_> = ids
                .iter()
                .filter(|id| self.part(id).is_open(id))
                .take(limit)
                .filter_map(|id| self.part(id).end(id, end))
                .collect();
            let earlier = ids
                .iter()
                .filter_map(|id| self.part(id).ended_since(id, end.ended_since))
                .filter(|earlier| earlier.ended_at != end.now);
            ended.extend(earlier.take(limit - ended.len()));
            ended
        };
        Ok(match end.target {
            SessionTarget::Session(id) => self.part(id).end(id, end).into_iter().collect(),
            SessionTarget::SessionOf { session, subject } => {
                of_subject(subject, &|id| id == session)
            }
            SessionTarget::OthersOf { session, subject } => {
                of_subject(subject, &|id| id != session)
            }
            SessionTarget::Subject(subject) => of_subject(subject, &|_| true),
        })
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut removed = 0;
        for part in &self.inner.sessions {
            let over = lock(part).remove_over(before, left);
            left -= over.len();
            removed += over.len() as u64;
            for (id, subject) in over {
                let mut subjects = self.subject(&subject);
                if let Some(ids) = subjects.get_mut(&subject) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        subjects.remove(&subject);
                    }
                }
            }
        }
        Ok(removed)
    }
}

// === impl Part ===

impl Part {
    fn is_open(&self, id: &str) -> bool {
        let record = self.by_id.get(id);
        record.is_some_and(|record| record.ended_at.is_none())
    }

    /// Returns a session that was ended at or after `since`.
    fn ended_since(&self, id: &str, since: u64) -> Option<EndedSession> {
        let record = self.by_id.get(id)?;
        let ended_at = record.ended_at.filter(|at| *at >= since)?;
        Some(EndedSession::new(id, record.subject.as_str(), ended_at))
    }

    /// Ends one session, unless it was ended before. Returns the session if the caller asked for it:
    /// it was ended now, or at or after `ended_since`.
    fn end(&mut self, id: &str, end: EndSessions<'_>) -> Option<EndedSession> {
        let record = self.by_id.get_mut(id)?;
        let ended_at = *record.ended_at.get_or_insert(end.now);
        if record.end_reason.is_none() {
            record.end_reason = Some(end.reason);
            self.due.insert((ended_at, record.id.clone()));
        } else if ended_at < end.ended_since {
            return None;
        }
        Some(EndedSession::new(id, record.subject.as_str(), ended_at))
    }

    /// Removes at most `limit` sessions that were over before `before`. Returns their ids and
    /// subjects.
    fn remove_over(&mut self, before: u64, limit: usize) -> Vec<(String, String)> {
        let mut removed = Vec::new();
        while removed.len() < limit {
            let Some((due, _)) = self.due.first() else {
                break;
            };
            if *due > before {
                break;
            }
            let Some((_, id)) = self.due.pop_first() else {
                break;
            };
            let Some(record) = self.by_id.get(&id) else {
                continue;
            };
            let over = over_at(record);
            let is_over = match record.ended_at {
                Some(at) => at < before,
                None => over <= before,
            };
            if !is_over {
                // It was used since, or ended at this very time.
                self.due.insert((over.max(before.saturating_add(1)), id));
            } else if let Some(record) = self.by_id.remove(&id) {
                removed.push((id, record.subject));
            }
        }
        removed
    }
}

/// The time at which a session ended, or will be over unless it is used.
fn over_at(record: &SessionRecord) -> u64 {
    let idle_at = record.last_used_at.saturating_add(record.idle_ttl);
    record
        .ended_at
        .unwrap_or_else(|| idle_at.min(record.expires_at))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
