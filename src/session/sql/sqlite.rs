//! [`SqliteSessions`]: sessions in SQLite.

use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::{row, statements, store};
use crate::session::{
    Converged, CreateOutcome, EndReason, EndSessions, EndedSession, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget, WhenFull,
};
use crate::sql::{column, create_in_sqlite, failed};
use crate::store::{StoreError, to_the_end};

/// Keeps sessions in SQLite, for the processes of one machine: in the table `jwt_sessions`.
///
/// You create the pool and choose its settings:
///
/// - a `busy_timeout` below the [store timeout](crate::sessions::SessionsBuilder::store_timeout) of 2 s,
///   such as 1500 ms: sqlx's default of 5 s would carry a statement out after its request was
///   answered with 503;
/// - an `acquire_timeout` that is short enough for a waiting client (sqlx's default is 30 s);
/// - the journal mode WAL, in which readers and the writer do not block each other;
/// - `synchronous = FULL`.
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
/// use tower_jwt_auth::sessions::SqliteSessions;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("service.db")
///     .create_if_missing(true)
///     .busy_timeout(Duration::from_millis(1500))
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let sessions = SqliteSessions::open(SqlitePool::connect_with(options).await?).await?;
/// # Ok(()) }
/// ```
///
/// A session is rotated by one statement. If a future is dropped, its work is done as a whole or
/// not at all. Remove old sessions regularly with
/// [`Sessions::clean_up_every`](crate::Sessions::clean_up_every).
///
/// # Security
///
/// Set `synchronous` to `FULL` or `EXTRA`. With a weaker setting, a power failure undoes the last
/// rotations although clients have received their tokens. A session survives the loss of one
/// rotation. After the loss of two, its owner has to log in again.
///
/// `FULL` is the default of the SQLite that is bundled with sqlx, in every journal mode. sqlx itself
/// does not set it, and the SQLite of the operating system may have been built with another default
/// (`SQLITE_DEFAULT_WAL_SYNCHRONOUS`).
#[derive(Debug, Clone)]
pub struct SqliteSessions {
    pool: SqlitePool,
}

// === impl SqliteSessions ===

impl SqliteSessions {
    /// The SQL that creates the table and its indexes, to copy into your own migrations. It needs
    /// SQLite 3.37 or later.
    pub const SCHEMA: &str = include_str!("../migrations/sqlite/0001_jwt_sessions.sql");

    /// Opens the store in the database of this pool, and creates the table and its indexes if they
    /// are missing.
    ///
    /// The database must be on disk, or the pool must have a single connection: each connection to
    /// `:memory:` opens its own database.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or read-only.
    pub async fn open(pool: SqlitePool) -> Result<Self, StoreError> {
        let sessions = Self::new(pool);
        sessions.migrate().await?;
        Ok(sessions)
    }

    /// Creates the store without contacting the database. The database must be on disk, or the pool
    /// must have a single connection: each connection to `:memory:` opens its own database.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// Creates the table and its indexes if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or read-only.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        create_in_sqlite(&self.pool, Self::SCHEMA).await
    }
}

// The transaction holds the only write lock from its beginning on.
store::implement_session_store!(
    SqliteSessions,
    Sqlite,
    "BEGIN IMMEDIATE",
    no_lock,
    statements::CLEAN_UP_SQLITE
);

#[allow(clippy::unused_async)] // PostgreSQL waits here
async fn no_lock(_: &mut SqliteConnection, _: &str) -> Result<(), StoreError> {
    Ok(())
}
