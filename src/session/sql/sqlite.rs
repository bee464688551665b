//! [`SqliteSessions`].

use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::{row, statements, store};
use crate::session::{
    Converged, Created, EndReason, EndSessions, EndedSession, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget, WhenFull,
};
use crate::sql::{column, create_in_sqlite, failed};
use crate::store::{StoreError, to_the_end};

/// Sessions in SQLite, for the processes of one machine: the table `jwt_sessions`.
///
/// The pool is your own, and so are its timeouts: give it a `busy_timeout` (sqlx's default of
/// 5 s will do), an `acquire_timeout` that a client may wait for (sqlx's default is 30 s),
/// journal mode WAL, in which readers and the writer do not stop each other, and `synchronous =
/// FULL`.
///
/// ```no_run
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
/// use tower_jwt_auth::sessions::SqliteSessions;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("service.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let sessions = SqliteSessions::open(SqlitePool::connect_with(options).await?).await?;
/// # Ok(()) }
/// ```
///
/// A session is rotated by one statement. A future that is dropped leaves nothing half done:
/// what it asked for is done as a whole, or not at all. Call
/// [`Sessions::clean_up`](crate::Sessions::clean_up) from time to time.
///
/// # Security
///
/// Set `synchronous` to `FULL`, or to `EXTRA`. With less, a power failure takes back the last
/// rotations although they were answered. Of each session one such loss is made good; after two,
/// its owner has to log in again. `FULL` is the default of the SQLite that sqlx brings along, in
/// every journal mode; sqlx itself sets nothing, and a SQLite of the operating system may have
/// been built with another default (`SQLITE_DEFAULT_WAL_SYNCHRONOUS`).
#[derive(Debug, Clone)]
pub struct SqliteSessions {
    pool: SqlitePool,
}

// === impl SqliteSessions ===

impl SqliteSessions {
    /// The table and its indexes, to be copied into your own migrations; needs SQLite 3.37.
    pub const SCHEMA: &str = include_str!("../migrations/sqlite/0001_jwt_sessions.sql");

    /// Opens sessions in the database of this pool, and creates the table and its indexes where
    /// they are missing. The database must be on disk, or the pool have one connection: each
    /// connection to `:memory:` is a database of its own.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or may not be changed.
    pub async fn open(pool: SqlitePool) -> Result<Self, StoreError> {
        let sessions = Self::new(pool);
        sessions.migrate().await?;
        Ok(sessions)
    }

    /// Creates the store without asking the database anything. The database must be on disk, or
    /// the pool have one connection: each connection to `:memory:` is a database of its own.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// Creates the table and its indexes where they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or may not be changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        create_in_sqlite(&self.pool, Self::SCHEMA).await
    }
}

// The transaction holds the one lock for writing from its beginning on.
store::implement_session_store!(
    SqliteSessions,
    Sqlite,
    "BEGIN IMMEDIATE",
    no_lock,
    statements::CLEAN_UP_SQLITE
);

#[allow(clippy::unused_async)] // stands where PostgreSQL waits
async fn no_lock(_: &mut SqliteConnection, _: &str) -> Result<(), StoreError> {
    Ok(())
}
