//! Ending sessions: one, or all of a subject's.

use std::collections::BTreeMap;

use futures_util::future;
use redis::aio::ConnectionLike;

use super::RedisSessions;
use super::index::{Entry, PAGE, micros, seconds};
use crate::session::{EndSessions, EndedSession};
use crate::store::StoreError;
use crate::store::redis_connection::failed;

/// How long an ended session stays in the index of its subject's ended sessions: one day, as long
/// as a session is kept after its absolute expiry.
const ENDED_KEPT_SECONDS: u64 = 24 * 60 * 60;

/// The two indexes of a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SubjectIndex {
    /// Sessions that have not ended, sorted by when they entered or were seen in use.
    Open,
    /// Sessions that were ended in the last day, sorted by the second of their end.
    Ended,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Ends one session, if it belongs to the subject. Returns it if it was ended now, or at or after
    /// `ended_since`.
    pub(super) async fn end_one(
        &self,
        session: &str,
        subject: Option<&str>,
        end: EndSessions<'_>,
    ) -> Result<Option<EndedSession>, StoreError> {
        self.end_for(session, subject, end, "").await
    }

    /// Ends one session to make room for another one. Returns it even if the script runs twice: the
    /// driver of a cluster repeats a request whose response was lost.
    pub(super) async fn end_for(
        &self,
        session: &str,
        subject: Option<&str>,
        end: EndSessions<'_>,
        other: &str,
    ) -> Result<Option<EndedSession>, StoreError> {
        let mut connection = self.connection.clone();
        let told: Vec<String> = self
            .scripts
            .end
            .key(self.session_key(session))
            .arg(u8::from(subject.is_some()))
            .arg(subject.unwrap_or_default())
            .arg(end.now)
            .arg(end.reason.as_str())
            .arg(end.ended_since)
            .arg(other)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)?;
        let [subject, ended_at] = told.as_slice() else {
            return Ok(None);
        };
        let ended_at = micros(ended_at)?;
        if ended_at == end.now {
            self.has_ended(session, subject, ended_at).await;
        }
        Ok(Some(EndedSession::new(session, subject, ended_at)))
    }

    /// Ends all sessions in the indexes of a subject, except one.
    pub(super) async fn end_all(
        &self,
        subject: &str,
        except: Option<&str>,
        end: EndSessions<'_>,
    ) -> Result<Vec<EndedSession>, StoreError> {
        let limit = usize::try_from(end.limit).unwrap_or(usize::MAX);
        let mut told = BTreeMap::new();
        for index in [SubjectIndex::Open, SubjectIndex::Ended] {
            let mut cursor = 0;
            loop {
                let (next, entries) = self.page(index, subject, cursor).await?;
                let is_asked_for = |id: &str, place: f64| {
                    let is_too_old =
                        index == SubjectIndex::Ended && place < seconds(end.ended_since) as f64;
                    !is_too_old && except != Some(id) && !told.contains_key(id)
                };
                let ids = entries
                    .into_iter()
                    .filter(|(id, place)| is_asked_for(id, *place))
                    .take(limit - told.len())
                    .map(|(id, _)| id)
                    .collect();
                let ended = self.each(ids, |id| async move {
                    self.end_one(&id, Some(subject), end).await
                });
                let ended = ended.await?.into_iter();
                told.extend(ended.map(|session| (session.id.clone(), session)));
                if told.len() >= limit {
                    return Ok(told.into_values().collect());
                }
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(told.into_values().collect())
    }

    /// Updates the indexes for a session that was ended. A failure is ignored, because the end does
    /// not depend on them.
    pub(super) async fn has_ended(&self, session: &str, subject: &str, at: u64) {
        let ended = [(session.to_owned(), at)];
        let _ = future::join(
            self.move_ended(subject, &ended),
            self.enter_end(session, at),
        )
        .await;
    }

    pub(super) async fn move_ended(
        &self,
        subject: &str,
        ended: &[(String, u64)],
    ) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut moved = self.scripts.ended.key(self.open_key(subject));
        moved.key(self.ended_key(subject)).arg(ENDED_KEPT_SECONDS);
        for (session, at) in ended {
            moved.arg(session).arg(seconds(*at));
        }
        moved.invoke_async(&mut connection).await.map_err(failed)
    }

    /// Reads a page of an index, and the cursor of the next page, which is 0 after the last. An entry
    /// that exists from the first page to the last is found, even if its place changes in the
    /// meantime. Some may be found twice.
    async fn page(
        &self,
        index: SubjectIndex,
        subject: &str,
        cursor: u64,
    ) -> Result<(u64, Vec<Entry>), StoreError> {
        let key = match index {
            SubjectIndex::Open => self.open_key(subject),
            SubjectIndex::Ended => self.ended_key(subject),
        };
        let mut connection = self.connection.clone();
        redis::cmd("ZSCAN")
            .arg(key)
            .arg(cursor)
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut connection)
            .await
            .map_err(failed)
    }
}
