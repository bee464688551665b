//! [`Quotas`]: how often something may be done in a while, counted in the database for all processes.

use std::time::Duration;

use sqlx::Result;

use crate::accounts::digest;
use crate::database::Database;
use crate::database::on_pool;
use crate::times::{SKEW, now};

/// Counts what is taken of each quota. The window of a quota begins with the first take after the last
/// window has ended.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    database: Database,
}

/// How many takes there are in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota<'a> {
    /// What it is about.
    pub(crate) kind: &'a str,
    /// Whose it is. The table holds a digest of it.
    pub(crate) of: &'a str,
    pub(crate) limit: i64,
    /// In seconds.
    pub(crate) window: i64,
}

// === impl Quotas ===

impl Quotas {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Takes one. Returns the time until the next window where none is left.
    ///
    /// It is one statement on one row, which the database locks: of two that come at once, the second
    /// counts the first. A `count(*)` in a condition would not, on PostgreSQL. A window that ends later
    /// than one that begins now was begun by a clock that was wrong, and counts as over.
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

    /// Removes at most `limit` whose window has ended, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM quotas WHERE name IN \
                         (SELECT name FROM quotas WHERE ends_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
