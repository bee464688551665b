//! [`SqliteRevocations`] and [`PostgresRevocations`]: the record of revocations in a database.

use std::time::SystemTime;

use super::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};
use crate::clock::unix_micros;
use crate::sql::failed;
use crate::store::StoreError;

/// Of two entries for one id, the later cut-off and the later end count. No other entry is
/// looked for: a conflict is one with the row as it is when it is locked.
const REVOKE: &str = "INSERT INTO jwt_revocations (id, kind, issuer, cutoff, until) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id, kind, issuer) DO UPDATE SET \
     cutoff = CASE WHEN excluded.cutoff > jwt_revocations.cutoff \
         THEN excluded.cutoff ELSE jwt_revocations.cutoff END, \
     until = CASE WHEN excluded.until > jwt_revocations.until \
         THEN excluded.until ELSE jwt_revocations.until END";

/// Whether one of three rows is there: issuer `$1`, issued at `$2`, subject `$3`, session `$4`,
/// token `$5`. Each is found by its primary key.
const IS_REVOKED: &str = "SELECT \
     EXISTS (SELECT 1 FROM jwt_revocations \
         WHERE id = $3 AND kind = 'subject' AND issuer = $1 AND cutoff >= $2) \
     OR EXISTS (SELECT 1 FROM jwt_revocations \
         WHERE id = $4 AND kind = 'session' AND issuer = $1 AND cutoff >= $2) \
     OR EXISTS (SELECT 1 FROM jwt_revocations \
         WHERE id = $5 AND kind = 'token' AND issuer = $1 AND cutoff >= $2)";

#[cfg(feature = "sqlite")]
const CLEAN_UP_SQLITE: &str = "DELETE FROM jwt_revocations WHERE (id, kind, issuer) IN \
     (SELECT id, kind, issuer FROM jwt_revocations WHERE until <= $1 ORDER BY until LIMIT $2)";

/// Several nodes may clean up at once: each leaves the rows that another has taken. An entry
/// that is put off meanwhile is locked with its new end, and looked at again.
#[cfg(feature = "postgres")]
const CLEAN_UP_POSTGRES: &str = "WITH over AS MATERIALIZED \
     (SELECT id, kind, issuer FROM jwt_revocations WHERE until <= $1 ORDER BY until LIMIT $2 \
         FOR UPDATE SKIP LOCKED) \
     DELETE FROM jwt_revocations USING over WHERE jwt_revocations.id = over.id \
         AND jwt_revocations.kind = over.kind AND jwt_revocations.issuer = over.issuer";

/// Nodes that start at once create the table one after the other. It is one message, so all
/// of it is one transaction.
#[cfg(feature = "postgres")]
const MIGRATE_POSTGRES: &str = concat!(
    "SELECT pg_advisory_xact_lock(hashtextextended('jwt_revocations', 7119021735));\n",
    include_str!("migrations/postgres/0001_jwt_revocations.sql")
);

/// The record of revocations in SQLite, for the processes of one machine: the table
/// `jwt_revocations`.
///
/// It reads no clock: an entry holds until [`clean_up`](Self::clean_up) removes it, some time
/// after the last token that it hits has expired. Put
/// [`CachedRevocations`](crate::_guide::revocation) in front of it. For the pool see
/// [`SqliteSessions`](crate::session::SqliteSessions).
///
/// ```no_run
/// use std::time::SystemTime;
/// use tower_jwt_auth::revocation::{CachedRevocations, SqliteRevocations};
///
/// # async fn connect(pool: sqlx::SqlitePool) -> Result<(), Box<dyn std::error::Error>> {
/// let record = SqliteRevocations::new(pool);
/// record.migrate().await?;
/// record.clean_up(SystemTime::now(), 1_000).await?;
/// # #[cfg(feature = "cache")]
/// let revocations = CachedRevocations::new(record);
/// # Ok(()) }
/// ```
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone)]
pub struct SqliteRevocations {
    pool: sqlx::SqlitePool,
}

/// The record of revocations in PostgreSQL, for any number of nodes: the table
/// `jwt_revocations`, in the first schema of the connection's `search_path`.
///
/// It reads no clock: an entry holds until [`clean_up`](Self::clean_up) removes it, some time
/// after the last token that it hits has expired. Put
/// [`CachedRevocations`](crate::_guide::revocation) in front of it. For the pool see
/// [`PostgresSessions`](crate::session::PostgresSessions).
///
/// Ids and issuers that are longer than some 2,700 bytes together do not fit the index:
/// [`revoke`](RevocationStore::revoke) fails with them. Those of this crate are short.
///
/// ```no_run
/// use std::time::SystemTime;
/// use tower_jwt_auth::revocation::{CachedRevocations, PostgresRevocations};
///
/// # async fn connect(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let record = PostgresRevocations::new(pool);
/// record.migrate().await?;
/// record.clean_up(SystemTime::now(), 1_000).await?;
/// # #[cfg(feature = "cache")]
/// let revocations = CachedRevocations::new(record);
/// # Ok(()) }
/// ```
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub struct PostgresRevocations {
    pool: sqlx::PgPool,
}

/// A macro, since sqlx's types of two databases share no trait that could be named in a line.
macro_rules! implement_revocation_store {
    ($Store:ident, $Pool:ty, $schema:expr, $migrate:expr, $clean_up:expr) => {
        impl $Store {
            /// The table and its index, to be copied into your own migrations.
            pub const SCHEMA: &str = $schema;

            /// The record in the database of this pool.
            #[must_use]
            pub fn new(pool: $Pool) -> Self {
                Self { pool }
            }

            /// Creates the table and its index where they are missing.
            ///
            /// # Errors
            ///
            /// The database does not answer, or may not be changed.
            pub async fn migrate(&self) -> Result<(), StoreError> {
                let schema = sqlx::raw_sql($migrate);
                schema.execute(&self.pool).await.map_err(failed)?;
                Ok(())
            }

            /// Removes at most `limit` entries that need no longer be known at `now`, and
            /// returns how many it removed.
            ///
            /// # Errors
            ///
            /// The database does not answer.
            pub async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
                let query = sqlx::query($clean_up)
                    .bind(micros(unix_micros(now)))
                    .bind(i64::from(limit));
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
        }

        impl RevocationStore for $Store {
            async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
                let (kind, id, cutoff) = match revocation.target() {
                    RevocationTarget::Token(jti) => ("token", jti, i64::MAX),
                    RevocationTarget::Session(sid) => ("session", sid, i64::MAX),
                    RevocationTarget::Subject { subject, cutoff } => {
                        ("subject", subject, micros(*cutoff))
                    }
                };
                let query = sqlx::query(REVOKE)
                    .bind(id)
                    .bind(kind)
                    .bind(revocation.issuer().unwrap_or_default())
                    .bind(cutoff)
                    .bind(micros(unix_micros(revocation.until())));
                query.execute(&self.pool).await.map_err(failed)?;
                Ok(())
            }

            async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
                let query = sqlx::query_scalar(IS_REVOKED)
                    .bind(query.issuer().unwrap_or_default())
                    .bind(micros(query.issued_at()))
                    .bind(query.subject())
                    .bind(query.session())
                    .bind(query.token());
                query.fetch_one(&self.pool).await.map_err(failed)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
implement_revocation_store!(
    SqliteRevocations,
    sqlx::SqlitePool,
    include_str!("migrations/sqlite/0001_jwt_revocations.sql"),
    Self::SCHEMA,
    CLEAN_UP_SQLITE
);

#[cfg(feature = "postgres")]
implement_revocation_store!(
    PostgresRevocations,
    sqlx::PgPool,
    include_str!("migrations/postgres/0001_jwt_revocations.sql"),
    MIGRATE_POSTGRES,
    CLEAN_UP_POSTGRES
);

/// A time for a column. One that is too late for it is the latest: the entry hits no less.
fn micros(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
