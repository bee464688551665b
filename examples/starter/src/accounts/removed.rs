//! Removes what belonged to a removed account and is not in our tables, such as its sessions, which may be in
//! Redis, and its avatar.

use std::time::Duration;

use sqlx::Result;

use super::Accounts;
use crate::database::on_pool;
use crate::error::Error;
use crate::error::with_causes;
use crate::times::{SKEW, now, seconds};

/// After this time, no request that read the account before its removal is still under way.
const SETTLED: Duration = Duration::from_secs(60);

// === impl Accounts ===

impl Accounts {
    /// Ends and removes what belonged to a removed account. What fails here is done later by
    /// [`clear_removed`](Self::clear_removed). Meanwhile no route accepts the account.
    pub(super) async fn clear(&self, user: &str) {
        if let Err(error) = self.try_clear(user).await {
            let error = with_causes(&*error);
            tracing::warn!(error, "a removed account is not cleared yet");
        }
    }

    /// Clears at most `limit` removed accounts for the last time, and returns how many. Requests that were
    /// under way during the removal may have left something behind.
    pub(crate) async fn clear_removed(&self, limit: u32) -> Result<u64, Error> {
        let query = "SELECT id FROM removed_users WHERE removed_at <= $1 OR removed_at > $3 \
                     ORDER BY removed_at LIMIT $2";
        let users: Vec<String> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(now() - seconds(SETTLED));
            query.bind(i64::from(limit)).bind(now() + SKEW).fetch_all(pool).await?
        });
        let mut cleared = 0;
        for user in users {
            self.try_clear(&user).await?;
            let query = "DELETE FROM removed_users WHERE id = $1";
            on_pool!(&self.database, pool => {
                sqlx::query(query).bind(&user).execute(pool).await?;
            });
            cleared += 1;
        }
        Ok(cleared)
    }

    async fn try_clear(&self, user: &str) -> Result<(), Error> {
        self.sessions.end_all(user).await?;
        self.avatars.remove(user).await?; // chapter: avatars
        self.api_keys.revoke_all(user).await?; // chapter: api-keys
        Ok(())
    }
}
