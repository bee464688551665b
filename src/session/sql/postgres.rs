//! [`PostgresSessions`].

use sqlx::{PgConnection, PgPool, Postgres};

use super::{row, statements, store};
use crate::session::{
    Converged, Created, EndReason, EndSessions, EndedSession, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget, WhenFull,
};
use crate::sql::{check_pooler, column, create_in_postgres, failed};
use crate::store::{StoreError, to_the_end};

/// Makes the logins of one subject wait for each other, until the transaction ends. The
/// number keeps the locks apart from those that others take on the same text.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7119021734))";

/// Sessions in PostgreSQL, for any number of nodes: the table `jwt_sessions`, in the first
/// schema of the connection's `search_path`.
///
/// The pool is your own, and so are its timeouts: give it an `acquire_timeout` that a client
/// may wait for (sqlx's default is 30 s), and its connections a `statement_timeout`. TLS is
/// there if your sqlx has a feature for it on.
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
/// A session is rotated by one statement. A future that is dropped leaves nothing half done:
/// what it asked for is done as a whole, or not at all. Call
/// [`Sessions::clean_up`](crate::Sessions::clean_up) from time to time.
///
/// # Security
///
/// Connect to the primary: a replica cannot write, and one that is promoted without the last
/// writes is a store that went back in time, as is one with `synchronous_commit = off` after a
/// crash. Of each session one lost rotation is made good; after two, its owner has to log in
/// again.
///
/// Leave `default_transaction_isolation` at `read committed`; under a stricter one, all but one of
/// the rotations that come at once fail with [`StoreError`] instead of converging.
///
/// A pooler such as PgBouncer must keep prepared statements apart. One that does not runs
/// *another* statement than it was asked to, and reports success: asked to end one session, it may
/// end another. [`open`](Self::open) and [`migrate`](Self::migrate) find that out and fail;
/// [the guide](crate::_guide::poolers) says which poolers can be used.
#[derive(Debug, Clone)]
pub struct PostgresSessions {
    pool: PgPool,
}

// === impl PostgresSessions ===

impl PostgresSessions {
    /// The table and its indexes, to be copied into your own migrations; needs PostgreSQL 12.
    pub const SCHEMA: &str = include_str!("../migrations/postgres/0001_jwt_sessions.sql");

    /// Opens sessions in the database of this pool: [checks](Self::check_pooler) that no pooler
    /// mixes up prepared statements, and creates the table and its indexes where they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or may not be changed, or behind a pooler that mixes
    /// up prepared statements.
    pub async fn open(pool: PgPool) -> Result<Self, StoreError> {
        let sessions = Self::new(pool);
        sessions.migrate().await?;
        Ok(sessions)
    }

    /// Creates the store without asking the database anything. Behind a pooler, use
    /// [`open`](Self::open), or call [`check_pooler`](Self::check_pooler) before anything else.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// [Checks](Self::check_pooler) that no pooler mixes up prepared statements, and creates the
    /// table and its indexes where they are missing. Several nodes may do so at once.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or may not be changed, or behind a pooler that mixes
    /// up prepared statements.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.check_pooler().await?;
        create_in_postgres(&self.pool, "jwt_sessions", Self::SCHEMA).await
    }

    /// Checks that prepared statements hold on the connections of this pool: they do on a direct
    /// connection and behind session pooling, and they do not behind most poolers in transaction
    /// mode. It opens two connections beside the pool for a moment, and changes nothing.
    ///
    /// Call it once at start if you create the table yourself and use [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, or behind a pooler that mixes up prepared statements;
    /// the error then says what to do.
    pub async fn check_pooler(&self) -> Result<(), StoreError> {
        check_pooler(&self.pool).await
    }
}

// Each statement of the transaction sees what was committed before it began, so the lock
// comes first; a stricter isolation would have fixed what it sees already.
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
