//! The indexes: the sessions of each subject, and when to look whether one can be removed.
//!
//! They are in slots of their own, so nothing keeps them in step with the sessions at
//! every moment: an entry is a hint, and the session itself is looked at.

use std::future::Future;

use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::ConnectionLike;

use super::RedisSessions;
use crate::redis_connection::failed;
use crate::session::SessionRecord;
use crate::store::StoreError;

/// How many sessions of one subject are listed at most.
pub(super) const MAX_LISTED: usize = 1000;
/// How many parts the index of ends is split into, so that no slot has all of it.
pub(super) const PARTS: u8 = 16;
/// How many sessions are looked at together.
const AT_ONCE: usize = 32;
/// How many entries of the index of ends are read together.
const PAGE: u32 = 256;
/// For how long a session that cannot be used any more stays in the index of its subject:
/// longer than clocks differ.
const CLOCKS_DIFFER_MICROS: u64 = 60 * 60 * 1_000_000;
/// Entries of the index of ends that are older than this are dropped when others are made: by
/// then the sessions have expired in Redis, or will.
const FORGOTTEN_AFTER_SECONDS: u64 = 400 * 24 * 60 * 60;

// === impl RedisSessions ===

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Enters a new session into both indexes. Returns the sessions that the subject has had
    /// for longer: all of them, or the first few.
    pub(super) async fn enter(
        &self,
        session: &SessionRecord,
        kept_millis: u64,
        all: bool,
    ) -> Result<Vec<String>, StoreError> {
        let due = session.last_used_at.saturating_add(session.idle_ttl);
        let due = due.min(session.expires_at);
        let last = if all { -1 } else { 1 };
        let (mut entered, ()) = future::try_join(
            self.enter_subject(
                &session.id,
                &session.subject,
                &kept_millis.to_string(),
                last,
            ),
            self.enter_end(&session.id, due),
        )
        .await?;
        let own = entered.iter().position(|id| *id == session.id);
        entered.truncate(own.unwrap_or(entered.len()));
        Ok(entered)
    }

    /// Enters a session that is in use, should the indexes have lost it.
    pub(super) async fn enter_again(
        &self,
        session: &str,
        subject: &str,
        due: &str,
        kept_millis: &str,
    ) -> Result<(), StoreError> {
        let entered = future::try_join(
            self.enter_subject(session, subject, kept_millis, 0),
            self.enter_end(session, micros(due)?),
        );
        entered.await.map(|_| ())
    }

    /// The sessions in the index of a subject, in the order of their creation.
    pub(super) async fn sessions_of(&self, subject: &str) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection.clone();
        redis::cmd("ZRANGE")
            .arg(self.subject_key(subject))
            .arg(0)
            .arg(-1)
            .query_async(&mut connection)
            .await
            .map_err(failed)
    }

    /// Those of the sessions that are live, the one used last first. Entries of the index
    /// whose sessions are over are dropped.
    pub(super) async fn live(
        &self,
        subject: &str,
        sessions: Vec<String>,
        now: u64,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let fetched = self.each(sessions, |id| async move {
            let record = self.fetch(&id).await?;
            let record = record.filter(|record| record.subject == subject);
            Ok(Some(record.ok_or(id)))
        });
        let (mut live, mut over) = (Vec::new(), Vec::new());
        for found in fetched.await? {
            match found {
                Ok(record) if record.is_live(now) => live.push(record),
                Ok(record) if record.is_live(now.saturating_sub(CLOCKS_DIFFER_MICROS)) => {}
                Ok(record) => over.push(record.id),
                Err(id) => over.push(id),
            }
        }
        if !over.is_empty() {
            // The next one to look drops them otherwise.
            let _ = self.leave(subject, over).await;
        }
        live.sort_by(|a, b| (b.last_used_at, &b.id).cmp(&(a.last_used_at, &a.id)));
        Ok(live)
    }

    /// Drops entries from the index of a subject.
    pub(super) async fn leave(
        &self,
        subject: &str,
        sessions: impl redis::ToRedisArgs,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        redis::cmd("ZREM")
            .arg(self.subject_key(subject))
            .arg(sessions)
            .query_async(&mut connection)
            .await
            .map_err(failed)
    }

    /// A session was ended: both indexes may know. That it has ended does not depend on it.
    pub(super) async fn has_ended(&self, session: &str, subject: &str, now: u64) {
        let _ = future::join(self.leave(subject, session), self.enter_end(session, now)).await;
    }

    /// Removes what is over from one part of the index of ends, and returns how much.
    pub(super) async fn clean_part(
        &self,
        part: u8,
        before: u64,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let key = self.end_key(part);
        let mut removed = 0;
        while removed < limit {
            let page = (limit - removed).min(PAGE.into());
            let mut connection = self.connection.clone();
            let due: Vec<String> = redis::cmd("ZRANGEBYSCORE")
                .arg(&key)
                .arg("-inf")
                .arg(seconds(before))
                .arg("LIMIT")
                .arg(0)
                .arg(page)
                .query_async(&mut connection)
                .await
                .map_err(failed)?;
            if due.is_empty() {
                break;
            }
            let key = &key;
            let gone = self.each(due, |id| async move {
                let gone = self.remove_if_over(key, &id, before).await?;
                Ok(gone.then_some(()))
            });
            removed += gone.await?.len() as u64;
        }
        Ok(removed)
    }

    /// Whether the session was removed. Its entry goes, or moves on to when to look again,
    /// which is in a later second than `before`.
    async fn remove_if_over(
        &self,
        end_key: &str,
        session: &str,
        before: u64,
    ) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let (what, about): (String, String) = self
            .scripts
            .remove
            .key(self.session_key(session))
            .arg(before)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)?;
        let mut entry = redis::Cmd::new();
        if what == "kept" {
            // A later second than this one, so that it is not looked at again at once.
            let due = seconds(micros(&about)?).max(seconds(before) + 1);
            entry.arg("ZADD").arg(end_key).arg(due).arg(session);
        } else {
            entry.arg("ZREM").arg(end_key).arg(session);
        }
        let entry = entry.query_async::<()>(&mut connection);
        if what == "removed" {
            let (left, entry) = future::join(self.leave(&about, session), entry).await;
            left.and(entry.map_err(failed))?;
            return Ok(true);
        }
        entry.await.map_err(failed)?;
        Ok(false)
    }

    /// Asks about many sessions, some of them at once; what is found is in their order.
    pub(super) async fn each<T, F>(
        &self,
        sessions: Vec<String>,
        ask: impl Fn(String) -> F + Send,
    ) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<Option<T>, StoreError>> + Send,
        T: Send,
    {
        stream::iter(sessions.into_iter().map(ask))
            .buffered(AT_ONCE)
            .try_filter_map(future::ok)
            .try_collect()
            .await
    }

    async fn enter_subject(
        &self,
        session: &str,
        subject: &str,
        kept_millis: &str,
        last: i8,
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection.clone();
        self.scripts
            .index
            .key(self.subject_key(subject))
            .arg(session)
            .arg(kept_millis)
            .arg(last)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)
    }

    async fn enter_end(&self, session: &str, due: u64) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        self.scripts
            .due
            .key(self.end_key(part_of(session)))
            .arg(session)
            .arg(seconds(due))
            .arg(FORGOTTEN_AFTER_SECONDS)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)
    }

    fn subject_key(&self, subject: &str) -> String {
        format!("{}{{u:{subject}}}:u", self.prefix)
    }

    fn end_key(&self, part: u8) -> String {
        format!("{}{{d:{part}}}:d", self.prefix)
    }
}

/// What the index of ends is sorted by: a sorted set compares doubles, which hold any second.
fn seconds(micros: u64) -> u64 {
    micros / 1_000_000
}

/// A time as a script tells it.
fn micros(text: &str) -> Result<u64, StoreError> {
    text.parse()
        .map_err(|_| StoreError::new("a time in Redis is not a number"))
}

/// The same on every node and in every version: FNV-1a.
fn part_of(session: &str) -> u8 {
    let hash = session.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    ((hash >> 24) as u8) % PARTS
}
