//! [`PostgresApiKeys`]: API keys in PostgreSQL.

use sqlx::{PgConnection, PgPool, Postgres};

use super::{row, statements, store};
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget, RevokedApiKey};
use crate::sql::{check_pooler, check_pooler_once, column, create_in_postgres, failed, number};
use crate::store::{StoreError, to_the_end};

/// Makes the insertions of one owner wait for each other until the transaction ends. The number
/// separates these locks from those that other code takes on the same text.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7119021736))";

/// Keeps API keys in PostgreSQL, for any number of nodes: in the table `jwt_api_keys`, in the first
/// schema of the connection's `search_path`.
///
/// You create the pool and choose its timeouts: see [`PostgresSessions`](crate::sessions::PostgresSessions)
/// for good values. The pool and the database may be those of the sessions.
///
/// ```no_run
/// use sqlx::postgres::PgPool;
/// use tower_jwt_auth::credential::api_keys::{ApiKeys, PostgresApiKeys};
///
/// # async fn connect(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::builder("acme", PostgresApiKeys::open(pool).await?).build()?;
/// # let _ = keys; Ok(()) }
/// ```
///
/// # Security
///
/// Connect to the primary: on a replica that lags, a revoked key still exists.
///
/// A pooler such as PgBouncer must not mix up the prepared statements of its clients. Otherwise it may run
/// *another* statement than the requested one and report success, so that a key is not revoked.
/// [`open`](Self::open) and [`migrate`](Self::migrate) detect this and fail. [The
/// guide](crate::guide::poolers) says which poolers can be used.
#[derive(Debug, Clone)]
pub struct PostgresApiKeys {
    pool: PgPool,
}

// === impl PostgresApiKeys ===

impl PostgresApiKeys {
    /// The SQL that creates the table and its indexes, to copy into your own migrations. It needs
    /// PostgreSQL 12 or later.
    pub const SCHEMA: &str = include_str!("../migrations/postgres/0001_jwt_api_keys.sql");

    /// Opens the store in the database of this pool. It [checks](Self::check_pooler) that no pooler
    /// mixes up prepared statements, and creates the table and its indexes if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if a pooler
    /// mixes up prepared statements.
    pub async fn open(pool: PgPool) -> Result<Self, StoreError> {
        let keys = Self::new(pool);
        keys.migrate().await?;
        Ok(keys)
    }

    /// Makes the store without contacting the database. Behind a pooler, use
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
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if a pooler
    /// mixes up prepared statements.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        check_pooler_once(&self.pool).await?;
        create_in_postgres(&self.pool, "jwt_api_keys", Self::SCHEMA).await
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
store::implement_api_key_store!(
    PostgresApiKeys,
    Postgres,
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    lock,
    statements::REVOKE_OWNER_POSTGRES,
    statements::DELETE_EXPIRED_OF_POSTGRES,
    statements::CLEAN_UP_POSTGRES
);

async fn lock(connection: &mut PgConnection, owner: &str) -> Result<(), StoreError> {
    let query = sqlx::query(LOCK).bind(owner);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}
