//! [`SqliteReplays`] and [`PostgresReplays`]: used proofs in an SQL database.

use std::time::{Duration, SystemTime};

use super::store::{ReplayEntry, ReplayStore};
use crate::clean_up::{self, CleanUpTask};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::error::ConfigError;
#[cfg(feature = "postgres")]
use crate::sql::{check_pooler, check_pooler_once};
use crate::sql::{column, failed};
use crate::store::StoreError;

/// Adds a digest, unless it is there. A statement that waits for another one with the same digest adds
/// nothing after the other has committed.
const INSERT: &str =
    "INSERT INTO jwt_proofs (digest, until) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";

#[cfg(feature = "sqlite")]
const CLEAN_UP_SQLITE: &str = "DELETE FROM jwt_proofs WHERE digest IN \
     (SELECT digest FROM jwt_proofs WHERE until <= $1 ORDER BY until LIMIT $2)";

/// Removes entries. Several nodes may clean up at once: each skips the rows that another has locked. A node
/// whose clock is ahead removes no entry that is still needed by the clock of the server.
#[cfg(feature = "postgres")]
const CLEAN_UP_POSTGRES: &str = "WITH over AS MATERIALIZED \
     (SELECT digest FROM jwt_proofs \
         WHERE until <= LEAST($1, (extract(epoch FROM now()) * 1000000)::bigint) \
         ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED) \
     DELETE FROM jwt_proofs USING over WHERE jwt_proofs.digest = over.digest";

/// Keeps used proofs in SQLite, for the processes of one machine: in the table `jwt_proofs`.
///
/// Each request with a proof writes a row, and SQLite has one writer at a time. A single process is better
/// served by [`MemoryReplays`](super::MemoryReplays). Remove old rows regularly with
/// [`clean_up_every`](Self::clean_up_every). For the settings of the pool see
/// [`SqliteSessions`](crate::sessions::SqliteSessions).
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone)]
pub struct SqliteReplays {
    pool: sqlx::SqlitePool,
}

/// Keeps used proofs in PostgreSQL, for any number of nodes: in the table `jwt_proofs`, in the first schema
/// of the connection's `search_path`.
///
/// Each request with a proof writes a row. Remove old rows regularly with
/// [`clean_up_every`](Self::clean_up_every). For the settings of the pool see
/// [`PostgresSessions`](crate::sessions::PostgresSessions).
///
/// # Security
///
/// With `synchronous_commit = off`, or after the promotion of a replica that lags, the proofs of the last
/// moments can be used once more until they are too old: for 90 seconds at most by default, or 330 with
/// nonces. Leave `default_transaction_isolation` at `read committed`: at a stricter level, all but one of the
/// requests that show the same proof at once are answered with 503 instead of 401.
///
/// A pooler such as PgBouncer must not mix up the prepared statements of its clients.
/// [`open`](Self::open) and [`migrate`](Self::migrate) detect that and fail.
/// [The guide](crate::guide::poolers) says which poolers can be used.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub struct PostgresReplays {
    pool: sqlx::PgPool,
}

/// Implements what both stores have in common. A generic function would need bounds on sqlx's types that
/// are longer than the code.
macro_rules! implement_replay_store {
    ($Store:ident, $Pool:ty, $clean_up:ident) => {
        impl $Store {
            /// Creates the store without contacting the database.
            #[must_use]
            pub fn new(pool: $Pool) -> Self {
                Self { pool }
            }

            /// Opens the store in the database of this pool, and creates the table if it is missing.
            ///
            /// # Errors
            ///
            /// Fails if the database is unavailable, if the table cannot be created, or if a pooler in front of
            /// PostgreSQL mixes up prepared statements.
            pub async fn open(pool: $Pool) -> Result<Self, StoreError> {
                let replays = Self::new(pool);
                replays.migrate().await?;
                Ok(replays)
            }

            /// Removes at most `limit` entries that have expired at `now`, and returns their number.
            ///
            /// # Errors
            ///
            /// Fails if the database is unavailable.
            pub async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
                let query = sqlx::query($clean_up)
                    .bind(column(unix_micros(now))?)
                    .bind(i64::from(limit));
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected())
            }

            /// Starts a task that removes expired entries at once, and again after each period, such as a
            /// minute. Dropping the result stops the task.
            ///
            /// # Errors
            ///
            /// Fails if the period is zero, or if there is no Tokio runtime.
            pub fn clean_up_every(&self, period: Duration) -> Result<CleanUpTask, ConfigError> {
                let this = self.clone();
                clean_up::every(period, "used proofs", move |limit| {
                    let this = this.clone();
                    async move { this.clean_up(SystemClock.now(), limit).await }
                })
            }
        }

        impl ReplayStore for $Store {
            async fn insert(&self, entry: ReplayEntry) -> Result<bool, StoreError> {
                let query = sqlx::query(INSERT)
                    .bind(entry.digest.to_vec())
                    .bind(column(entry.until)?);
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected() == 1)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
implement_replay_store!(SqliteReplays, sqlx::SqlitePool, CLEAN_UP_SQLITE);
#[cfg(feature = "postgres")]
implement_replay_store!(PostgresReplays, sqlx::PgPool, CLEAN_UP_POSTGRES);

#[cfg(feature = "sqlite")]
impl SqliteReplays {
    /// The SQL that creates the table and its index, to copy into your own migrations. It needs SQLite
    /// 3.37 or later.
    pub const SCHEMA: &str = include_str!("migrations/sqlite/0001_jwt_proofs.sql");

    /// Creates the table and its index if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or read-only.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        crate::sql::create_in_sqlite(&self.pool, Self::SCHEMA).await
    }
}

#[cfg(feature = "postgres")]
impl PostgresReplays {
    /// The SQL that creates the table and its index, to copy into your own migrations. It needs
    /// PostgreSQL 12 or later.
    pub const SCHEMA: &str = include_str!("migrations/postgres/0001_jwt_proofs.sql");

    /// Checks that prepared statements work on the connections of this pool. A pooler that mixes them up may
    /// run another statement and report success, so that a used proof counts as new. Call it once at startup
    /// if you create the table yourself and use [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, or if a pooler mixes up prepared statements.
    pub async fn check_pooler(&self) -> Result<(), StoreError> {
        check_pooler(&self.pool).await
    }

    /// [Checks](Self::check_pooler) that no pooler mixes up prepared statements, and creates the table and its
    /// index if they are missing. Several nodes may do so at once. A pool that has
    /// passed this check for another store is not checked again.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if its user lacks the permission to create the table, or if a
    /// pooler mixes up prepared statements.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        check_pooler_once(&self.pool).await?;
        crate::sql::create_in_postgres(&self.pool, "jwt_proofs", Self::SCHEMA).await
    }
}
