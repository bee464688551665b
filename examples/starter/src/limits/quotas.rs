//! [`Quotas`]: how often something may be done within a time, counted in the database for all processes.

use std::time::Duration;

use sqlx::Result;

use crate::accounts::digest;
use crate::database::Database;
use crate::database::on_pool;
use crate::times::{SKEW, now};

/// Counts the uses of each quota. A window begins with the first use after the previous window has ended.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    database: Database,
}

/// How many uses are allowed within a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota<'a> {
    /// The name of the quota.
    pub(crate) kind: &'a str,
    /// The user, address or other thing that is limited. The table contains a digest of it.
    pub(crate) of: &'a str,
    pub(crate) limit: i64,
    /// The length of the window in seconds.
    pub(crate) window: i64,
}

// === impl Quotas ===

impl Quotas {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Counts one use. Returns the time until the next window if none is left.
    ///
    /// This is one statement on one row, which the database locks, so that of two at once, the second one
    /// counts the first. A `count(*)` in a condition would not do that on PostgreSQL. A window that ends
    /// later than one that begins now was written while a clock was wrong, and counts as ended.
    pub(crate) async fn take(&self, quota: Quota<'_>) -> Result<Option<Duration>> {
        let name = format!("{} {}", quota.kind, digest(quota.of));
        let now = now();
        let query = "INSERT INTO quotas AS q (name, used, ends_at) VALUES ($1, 1, $2) \
                     ON CONFLICT (name) DO UPDATE SET \
                         used = CASE WHEN q.ends_at <= $3 OR q.ends_at > $5 THEN 1 \
                             ELSE q.used + 1 END, \
                         ends_at = CASE WHEN q.ends_at <= $3 OR q.ends_at > $5 THEN $2 \
                             ELSE q.ends_at END \
                     WHERE q.ends_at <= $3 OR q.ends_at > $5 OR q.used < $4";
        let taken = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(&name).bind(now + quota.window).bind(now);
            let query = query.bind(quota.limit).bind(now + quota.window + SKEW);
            query.execute(pool).await?.rows_affected()
        });
        if taken == 1 {
            return Ok(None);
        }
        let query = "SELECT ends_at FROM quotas WHERE name = $1";
        let ends_at: Option<i64> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(&name).fetch_optional(pool).await?
        });
        let wait = ends_at.map_or(1, |ends_at| (ends_at - now).max(1));
        Ok(Some(Duration::from_secs(wait.unsigned_abs())))
    }

    /// Removes at most `limit` rows whose window has ended, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM quotas WHERE name IN \
                         (SELECT name FROM quotas WHERE ends_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
