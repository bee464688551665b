//! [`SqliteApiKeys`]: API keys in SQLite.

use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::{row, statements, store};
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget, RevokedApiKey};
use crate::sql::{column, create_in_sqlite, failed, number};
use crate::store::{StoreError, to_the_end};

/// Keeps API keys in SQLite, for the processes of one machine: in the table `jwt_api_keys`.
///
/// You create the pool and choose its settings: see [`SqliteSessions`](crate::sessions::SqliteSessions) for
/// good values. The pool and the database may be those of the sessions.
///
/// ```no_run
/// use sqlx::sqlite::SqlitePool;
/// use tower_jwt_auth::credential::api_keys::{ApiKeys, SqliteApiKeys};
///
/// # async fn connect(pool: SqlitePool) -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::builder("acme", SqliteApiKeys::open(pool).await?).build()?;
/// # let _ = keys; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteApiKeys {
    pool: SqlitePool,
}

// === impl SqliteApiKeys ===

impl SqliteApiKeys {
    /// The SQL that creates the table and its indexes, to copy into your own migrations. It needs
    /// SQLite 3.37 or later.
    pub const SCHEMA: &str = include_str!("../migrations/sqlite/0001_jwt_api_keys.sql");

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
        let keys = Self::new(pool);
        keys.migrate().await?;
        Ok(keys)
    }

    /// Makes the store without contacting the database. The database must be on disk, or the pool
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
store::implement_api_key_store!(
    SqliteApiKeys,
    Sqlite,
    "BEGIN IMMEDIATE",
    no_lock,
    statements::REVOKE_OWNER_SQLITE,
    statements::DELETE_EXPIRED_OF_SQLITE,
    statements::CLEAN_UP_SQLITE
);

#[allow(clippy::unused_async)] // PostgreSQL waits here
async fn no_lock(_: &mut SqliteConnection, _: &str) -> Result<(), StoreError> {
    Ok(())
}
