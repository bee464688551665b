//! Removing sessions that are over, by the index of when they end.

use futures_util::future;
use redis::aio::ConnectionLike;

use super::RedisSessions;
use super::index::{micros, seconds};
use crate::store::StoreError;
use crate::store::redis_connection::failed;

/// The number of entries of the index that are read at once.
const PAGE: u32 = 256;

/// The time by which the clock of a node may be ahead of that of the server, in microseconds.
const AHEAD: u64 = 24 * 3600 * 1_000_000;

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Returns the latest time for which sessions are removed. A node whose clock is further ahead would
    /// remove sessions that are open.
    pub(super) async fn latest_clean_up(&self) -> Result<u64, StoreError> {
        let mut connection = self.connection.clone();
        let time = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) =
            time.query_async(&mut connection).await.map_err(failed)?;
        Ok(seconds * 1_000_000 + micros + AHEAD)
    }

    /// Removes the sessions that are over in one part of the index, and returns their number.
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

    /// Removes a session if it is over, and returns whether it was removed. Its entry is dropped, or
    /// moved to the time of the next check, which is in a later second than `before`.
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
            // A later second than this one, so that it is not checked again at once.
            let due = seconds(micros(&about)?).max(seconds(before) + 1);
            entry.arg("ZADD").arg(end_key).arg(due).arg(session);
        } else {
            entry.arg("ZREM").arg(end_key).arg(session);
        }
        let entry = entry.query_async::<()>(&mut connection);
        if what == "removed" {
            let session = [session.to_owned()];
            let (left, entry) = future::join(self.leave(&about, &session), entry).await;
            left.and(entry.map_err(failed))?;
            return Ok(true);
        }
        entry.await.map_err(failed)?;
        Ok(false)
    }

    pub(super) fn end_key(&self, part: u8) -> String {
        format!("{}{{d:{part}}}:d", self.prefix)
    }
}
