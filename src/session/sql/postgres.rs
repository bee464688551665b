//! [`PostgresSessions`]: sessions in PostgreSQL.

use sqlx::{PgConnection, PgPool, Postgres};

use super::{row, statements, store};
use crate::session::{
    Converged, CreateOutcome, EndReason, EndSessions, EndedSession, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget, WhenFull,
};
use crate::sql::{check_pooler, check_pooler_once, column, create_in_postgres, failed};
use crate::store::{StoreError, to_the_end};

/// Makes the logins of one subject wait for each other until the transaction ends. The number
/// separates these locks from those that other code takes on the same text.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7119021734))";

/// Keeps sessions in PostgreSQL, for any number of nodes: in the table `jwt_sessions`, in the first
/// schema of the connection's `search_path`.
///
/// You create the pool and choose its timeouts. Set an `acquire_timeout` that is short enough for a
/// waiting client (sqlx's default is 30 s), and a `statement_timeout` for its connections. For TLS,
/// turn on one of the TLS features of `sqlx`.
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::postgres::PgPoolOptions;
/// use tower_jwt_auth::sessions::PostgresSessions;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .acquire_timeout(Duration::from_secs(3))
///     .after_connect(|connection, _| {
///         Box::pin(async {
///             let set = sqlx::raw_sql("SET statement_timeout = '2s'");
///             set.execute(connection).await.map(drop)
///         })
///     })
///     .connect("postgres://service@db/service")
///     .await?;
/// let sessions = PostgresSessions::open(pool).await?;
/// # Ok(()) }
/// ```
///
/// A session is rotated by one statement. If a future is dropped, its work is done as a whole or
/// not at all. Remove old sessions regularly with
/// [`Sessions::clean_up_every`](crate::Sessions::clean_up_every).
///
/// # Security
///
/// Connect to the primary, because a replica cannot write. The last writes are lost if a replica
/// that lags is promoted, or in a crash with `synchronous_commit = off`. A session survives the
/// loss of one rotation. After the loss of two, its owner has to log in again.
///
/// Leave `default_transaction_isolation` at `read committed`. At a stricter level, all but one of
/// the rotations that come at once fail with [`StoreError`] instead of converging.
///
/// A pooler such as PgBouncer must not mix up the prepared statements of its clients. One that does
/// may run *another* statement than the requested one, and report success: instead of one session,
/// it may end another. [`open`](Self::open) and [`migrate`](Self::migrate) detect that and fail.
/// [The guide](crate::guide::poolers) says which poolers can be used.
#[derive(Debug, Clone)]
pub struct PostgresSessions {
    pool: PgPool,
}

// === impl PostgresSessions ===

impl PostgresSessions {
    /// The SQL that creates the table and its indexes, to copy into your own migrations. It needs
    /// PostgreSQL 12 or later.
    pub const SCHEMA: &str = include_str!("../migrations/postgres/0001_jwt_sessions.sql");

    /// Opens the store in the database of this pool. It [checks](Self::check_pooler) that no pooler
    /// mixes up prepared statements, and creates the table and its indexes if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if
    /// a pooler mixes up prepared statements.
    pub async fn open(pool: PgPool) -> Result<Self, StoreError> {
        let sessions = Self::new(pool);
        sessions.migrate().await?;
        Ok(sessions)
    }

    /// Creates the store without contacting the database. Behind a pooler, use
    /// [`open`](Self::open) instead, or call [`check_pooler`](Self::check_pooler) first.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// [Checks](Self::check_pooler) that no pooler mixes up prepared statements, and creates the
    /// table and its indexes if they are missing. Several nodes may do so at once. A pool that has
    /// passed this check for another store is not checked again.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if
    /// a pooler mixes up prepared statements.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        check_pooler_once(&self.pool).await?;
        create_in_postgres(&self.pool, "jwt_sessions", Self::SCHEMA).await
    }

    /// Checks that prepared statements work on the connections of this pool. They do on a direct
    /// connection and behind session pooling, but not behind most poolers in transaction mode. The
    /// check opens two connections besides the pool for a moment, and changes nothing.
    ///
    /// Call it once at startup if you create the table yourself and use [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, or if a pooler mixes up prepared statements. The error
    /// then says what to do.
    pub async fn check_pooler(&self) -> Result<(), StoreError> {
        check_pooler(&self.pool).await
    }
}

// Each statement of the transaction sees what was committed before that statement began, so the
// lock comes first. At a stricter isolation level it would see a snapshot from before the lock.
store::implement_session_store!(
    PostgresSessions,
    Postgres,
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    lock,
    statements::CLEAN_UP_POSTGRES
);

async fn lock(connection: &mut PgConnection, subject: &str) -> Result<(), StoreError> {
    let query = sqlx::query(LOCK).bind(subject);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}
