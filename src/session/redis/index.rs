//! The indexes: the sessions of each subject, and when to check whether a session can be removed.
//!
//! They are in slots of their own, so they may differ from the sessions for a moment. An entry is
//! only a hint: the session itself is always looked at.

use std::future::Future;

use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::ConnectionLike;

use super::RedisSessions;
use crate::session::SessionRecord;
use crate::store::StoreError;
use crate::store::redis_connection::failed;

/// The largest number of sessions of one subject that are listed.
pub(super) const MAX_LISTED: usize = 1000;
/// The number of entries of a subject's index that are read for a list. It is larger than the list,
/// because some sessions may be idle, and the order of the index is not exactly that of use.
const LOOKED_AT: usize = 2 * MAX_LISTED;
/// The number of entries of a subject's index that are read at once where all of them matter.
pub(super) const PAGE: usize = 500;
/// The number of entries that a login without a limit checks, to drop those whose session is gone.
const TIDIED: usize = 2;
/// The number of sessions that are looked up at the same time.
const AT_ONCE: usize = 64;
/// The age at which entries of the index of ends are dropped when others are made. By then the
/// sessions have expired in Redis, or soon will.
const FORGOTTEN_AFTER_SECONDS: u64 = 400 * 24 * 60 * 60;

/// An entry of a subject's index: a session, and the number by which the index is sorted.
pub(super) type Entry = (String, f64);

/// Which of the older sessions of a subject are looked at when a new one is entered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// The first page of all of them, newest first.
    All,
    /// A few of the oldest.
    Oldest,
}

// === impl RedisSessions ===

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Enters a new session into the indexes. Returns sessions that were entered before it.
    pub(super) async fn enter(
        &self,
        session: &SessionRecord,
        kept_millis: u64,
        before: Before,
    ) -> Result<Vec<Entry>, StoreError> {
        let due = session.last_used_at.saturating_add(session.idle_ttl);
        let due = due.min(session.expires_at);
        let (order, count) = match before {
            Before::All => ("newest", PAGE),
            Before::Oldest => ("oldest", TIDIED),
        };
        let mut connection = self.connection.clone();
        let mut enter = self.scripts.index.key(self.open_key(&session.subject));
        enter.arg(&session.id).arg(kept_millis);
        enter.arg("new").arg(order).arg(count);
        let entered = async { enter.invoke_async(&mut connection).await.map_err(failed) };
        let (before, ()) = future::try_join(entered, self.enter_end(&session.id, due)).await?;
        Ok(before)
    }

    /// Enters a session that is in use as the most recently used one, in case the indexes have lost
    /// it.
    pub(super) async fn enter_again(
        &self,
        session: &str,
        subject: &str,
        due: &str,
        kept_millis: &str,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut enter = self.scripts.index.key(self.open_key(subject));
        enter.arg(session).arg(kept_millis);
        enter.arg("used").arg("oldest").arg(0);
        let entered = async { enter.invoke_async(&mut connection).await.map_err(failed) };
        let entered = future::try_join(entered, self.enter_end(session, micros(due)?));
        entered.await.map(|((), ())| ())
    }

    /// Returns the sessions of a subject that were entered or seen in use last, as many as are read
    /// for a list.
    pub(super) async fn newest(&self, subject: &str) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection.clone();
        redis::cmd("ZREVRANGE")
            .arg(self.open_key(subject))
            .arg(0)
            .arg(LOOKED_AT - 1)
            .query_async(&mut connection)
            .await
            .map_err(failed)
    }

    /// Continues [`enter`](Self::enter): returns the page after `page`, or `None` if that was the
    /// last.
    pub(super) async fn next_before(
        &self,
        subject: &str,
        page: &[Entry],
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let (Some((_, place)), true) = (page.last(), page.len() >= PAGE) else {
            return Ok(None);
        };
        let mut connection = self.connection.clone();
        redis::cmd("ZREVRANGEBYSCORE")
            .arg(self.open_key(subject))
            .arg(format!("({place}"))
            .arg("-inf")
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(PAGE)
            .query_async(&mut connection)
            .await
            .map(Some)
            .map_err(failed)
    }

    /// Returns those of the sessions that are live. Entries of the index whose session is gone are
    /// dropped, and those whose session has ended are moved to the other index.
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
        let (mut live, mut ended, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for found in fetched.await? {
            match found {
                Ok(record) if record.is_live(now) => live.push(record),
                Ok(record) => ended.extend(record.ended_at.map(|at| (record.id, at))),
                Err(id) => gone.push(id),
            }
        }
        // If this fails, the next reader does it.
        if !ended.is_empty() {
            let _ = self.move_ended(subject, &ended).await;
        }
        if !gone.is_empty() {
            let _ = self.leave(subject, &gone).await;
        }
        Ok(live)
    }

    /// Drops entries from both indexes of a subject.
    pub(super) async fn leave(&self, subject: &str, sessions: &[String]) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut both = redis::pipe();
        both.atomic();
        for key in [self.open_key(subject), self.ended_key(subject)] {
            both.cmd("ZREM").arg(key).arg(sessions).ignore();
        }
        both.query_async(&mut connection).await.map_err(failed)
    }

    /// Asks about many sessions, some of them at the same time. The results are in their order.
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

    /// Enters the time at which to check whether a session can be removed.
    pub(super) async fn enter_end(&self, session: &str, due: u64) -> Result<(), StoreError> {
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

    pub(super) fn open_key(&self, subject: &str) -> String {
        format!("{}{{u:{subject}}}:u", self.prefix)
    }

    pub(super) fn ended_key(&self, subject: &str) -> String {
        format!("{}{{u:{subject}}}:e", self.prefix)
    }
}

/// The whole seconds of a time, by which the index of ends is sorted: a sorted set compares doubles,
/// which represent any second exactly.
pub(super) fn seconds(micros: u64) -> u64 {
    micros / 1_000_000
}

/// Reads a time that a script returned.
pub(super) fn micros(text: &str) -> Result<u64, StoreError> {
    text.parse()
        .map_err(|_| StoreError::new("a time of a session in Redis is not a number"))
}

/// The number of parts of the index of ends, so that no single slot has all of it.
pub(super) const PARTS: u8 = 16;

/// Returns the part of the index of ends that a session is in. It is the same on every node and in
/// every version: FNV-1a.
fn part_of(session: &str) -> u8 {
    let hash = session.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    ((hash >> 24) as u8) % PARTS
}
