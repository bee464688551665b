//! [`PostgresSessions`].

use sqlx::{PgConnection, PgPool};

use super::row::{Columns, record};
use super::{statements, store};
use crate::session::{
    Created, EndReason, Rotation, SessionLimit, SessionRecord, SessionStore, SessionTarget,
    WhenFull,
};
use crate::sql::{column, failed, to_the_end};
use crate::store::StoreError;

/// Makes the logins of one subject wait for each other, until the transaction ends. The
/// number keeps the locks apart from those that others take on the same text.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7119021734))";

/// Nodes that start at once create the table one after the other. It is one message, so all
/// of it is one transaction.
const MIGRATE: &str = concat!(
    "SELECT pg_advisory_xact_lock(hashtextextended('jwt_sessions', 7119021735));\n",
    include_str!("../migrations/postgres/0001_jwt_sessions.sql")
);

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
/// let url = "postgres://service@db/service?options[statement_timeout]=2s";
/// let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(3)).connect(url).await?;
/// let sessions = PostgresSessions::new(pool);
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
/// Connect to the primary: a replica cannot write, and one that is promoted without the last
/// writes is a store that went back in time, as is one with `synchronous_commit = off` after a
/// crash. Of each session one lost rotation is made good; after two, its owner has to log in
/// again.
///
/// Leave `default_transaction_isolation` at `read committed`; under a stricter one rotations
/// at once fail with [`StoreError`], all but one, instead of converging.
#[derive(Debug, Clone)]
pub struct PostgresSessions {
    pool: PgPool,
}

// === impl PostgresSessions ===

impl PostgresSessions {
    /// The table and its indexes, to be copied into your own migrations; needs PostgreSQL 12.
    pub const SCHEMA: &str = include_str!("../migrations/postgres/0001_jwt_sessions.sql");

    /// Sessions in the database of this pool.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Creates the table and its indexes where they are missing; several nodes may do so at once.
    ///
    /// # Errors
    ///
    /// The database does not answer, or may not be changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let schema = sqlx::raw_sql(MIGRATE);
        schema.execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }
}

// Each statement of the transaction sees what was committed before it began, so the lock
// comes first; a stricter isolation would have fixed what it sees already.
store::implement_session_store!(
    PostgresSessions,
    PgPool,
    PgConnection,
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    lock,
    statements::CLEAN_UP_POSTGRES
);

async fn lock(connection: &mut PgConnection, subject: &str) -> Result<(), StoreError> {
    let query = sqlx::query(LOCK).bind(subject);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}
