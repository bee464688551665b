//! [`SqliteSessions`].

use sqlx::{SqliteConnection, SqlitePool};

use super::row::{Columns, record};
use super::{statements, store};
use crate::session::{
    Created, EndReason, Rotation, SessionLimit, SessionRecord, SessionStore, SessionTarget,
    WhenFull,
};
use crate::sql::{column, failed, to_the_end};
use crate::store::StoreError;

/// Sessions in SQLite, for the processes of one machine: the table `jwt_sessions`.
///
/// The pool is your own, and so are its timeouts: give it a `busy_timeout` (sqlx's default of
/// 5 s will do), an `acquire_timeout` that a client may wait for (sqlx's default is 30 s),
/// and journal mode WAL, in which readers and the writer do not stop each other.
///
/// ```no_run
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};
/// use tower_jwt_auth::sessions::SqliteSessions;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("service.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal);
/// let sessions = SqliteSessions::new(SqlitePool::connect_with(options).await?);
/// sessions.migrate().await?;
/// # Ok(()) }
/// ```
///
/// A session is rotated by one statement. A future that is dropped leaves nothing half done:
/// what it asked for is done as a whole, or not at all. Call
/// [`clean_up`](SessionStore::clean_up) from time to time.
///
/// # Security
///
/// Leave `synchronous` at `full`, the default. With less, a power failure takes back the
/// last rotations although they were answered. Of each session one such loss is made good;
/// after two, its owner has to log in again.
#[derive(Debug, Clone)]
pub struct SqliteSessions {
    pool: SqlitePool,
}

// === impl SqliteSessions ===

impl SqliteSessions {
    /// The table and its indexes, to be copied into your own migrations; needs SQLite 3.37.
    pub const SCHEMA: &str = include_str!("../migrations/sqlite/0001_jwt_sessions.sql");

    /// Sessions in the database of this pool, which must be on disk or have one connection:
    /// each connection to `:memory:` is a database of its own.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// Creates the table and its indexes where they are missing.
    ///
    /// # Errors
    ///
    /// The database does not answer, or may not be changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let schema = sqlx::raw_sql(Self::SCHEMA);
        schema.execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }
}

// The transaction holds the one lock for writing from its beginning on.
store::implement_session_store!(
    SqliteSessions,
    SqlitePool,
    SqliteConnection,
    "BEGIN IMMEDIATE",
    no_lock,
    statements::CLEAN_UP_SQLITE
);

#[allow(clippy::unused_async)] // stands where PostgreSQL waits
async fn no_lock(_: &mut SqliteConnection, _: &str) -> Result<(), StoreError> {
    Ok(())
}
