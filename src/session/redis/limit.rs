//! Enforcing the limit of sessions of a subject.

use redis::aio::ConnectionLike;

use super::RedisSessions;
use super::index::Entry;
use crate::session::{
    CreateOutcome, EndReason, EndSessions, SessionLimit, SessionRecord, SessionTarget, WhenFull,
};
use crate::store::StoreError;
use crate::store::redis_connection::failed;

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Removes a session of which no token was issued yet.
    async fn withdraw(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let removed: Result<(), _> = redis::cmd("DEL")
            .arg(self.session_key(&session.id))
            .query_async(&mut connection)
            .await;
        removed.map_err(failed)?;
        let id = std::slice::from_ref(&session.id);
        self.leave(&session.subject, id).await
    }

    /// Counts the sessions that were entered before this one. If there are too many, ends some of
    /// them, or removes this one.
    pub(super) async fn keep_to(
        &self,
        limit: SessionLimit,
        session: &SessionRecord,
        mut page: Vec<Entry>,
    ) -> Result<CreateOutcome, StoreError> {
        let now = session.created_at;
        let max = usize::try_from(limit.max).unwrap_or(usize::MAX);
        let refuses = limit.when_full == WhenFull::Refuse;
        let mut live = Vec::new();
        loop {
            let ids = page.iter().map(|(id, _)| id.clone()).collect();
            let found = self.live(&session.subject, ids, now).await?.into_iter();
            live.extend(found.map(|record| (record.last_used_at, record.id)));
            if refuses && live.len() >= max {
                self.withdraw(session).await?;
                return Ok(CreateOutcome::Full);
            }
            match self.next_before(&session.subject, &page).await? {
                Some(next) => page = next,
                None => break,
            }
        }
        live.sort();
        let excess = (live.len() + 1).saturating_sub(max);
        let oldest = live.into_iter().take(excess).map(|(_, id)| id).collect();
        let ended = self.each(oldest, |id| async move {
            let target = SessionTarget::Session(&id);
            let end = EndSessions::new(target, EndReason::Replaced, now);
            self.end_for(&id, None, end, &session.id).await
        });
        Ok(CreateOutcome::Opened {
            ended: ended.await?,
        })
    }
}
