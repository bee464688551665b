//! [`SqliteRevocations`] and [`PostgresRevocations`]: revocations in an SQL database.

use std::collections::BTreeMap;
#[cfg(feature = "postgres")]
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};
use crate::clock::unix_micros;
use crate::sql::failed;
#[cfg(feature = "postgres")]
use crate::sql::{check_pooler, check_pooler_once};
use crate::store::StoreError;

/// The largest number of entries that one statement records.
const CHUNK: usize = 1_000;
/// How long an entry is kept after its end.
const SLACK: Duration = Duration::from_secs(3600);

const RECORD: &str = "INSERT INTO jwt_revocations (id, kind, issuer, cutoff, until) ";

/// If an id has an entry already, the later cut-off and the later end count. The statement reads no
/// row first: it compares with the row as it is when it is locked.
const WHERE_RECORDED: &str = " ON CONFLICT (id, kind, issuer) DO UPDATE SET \
     cutoff = CASE WHEN excluded.cutoff > jwt_revocations.cutoff \
         THEN excluded.cutoff ELSE jwt_revocations.cutoff END, \
     until = CASE WHEN excluded.until > jwt_revocations.until \
         THEN excluded.until ELSE jwt_revocations.until END";

/// Records the entries of five arrays: ids `$1`, kinds `$2`, issuers `$3`, cut-offs `$4`, ends `$5`.
#[cfg(feature = "postgres")]
static RECORD_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!("{RECORD} SELECT * FROM unnest($1, $2, $3, $4, $5) AS entries {WHERE_RECORDED}")
});

/// Whether one of three rows exists: issuer `$1`, issued at `$2`, subject `$3`, session `$4`,
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

/// Removes entries. Several nodes may clean up at once: each skips the rows that another has locked.
/// An entry that is prolonged in the meantime is checked again with its new end. A node whose clock is ahead
/// removes no entry that is still needed by the clock of the server.
#[cfg(feature = "postgres")]
const CLEAN_UP_POSTGRES: &str = "WITH over AS MATERIALIZED \
     (SELECT id, kind, issuer FROM jwt_revocations \
         WHERE until <= LEAST($1, (extract(epoch FROM now()) * 1000000)::bigint) \
         ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED) \
     DELETE FROM jwt_revocations USING over WHERE jwt_revocations.id = over.id \
         AND jwt_revocations.kind = over.kind AND jwt_revocations.issuer = over.issuer";

/// Keeps revocations in SQLite, for the processes of one machine: in the table `jwt_revocations`.
///
/// It reads no clock. An entry stays in effect until [`clean_up`](Self::clean_up) removes it, some
/// time after the last token that it covers has expired: call that regularly. Put
/// [`CachedRevocations`](crate::guide::revocation) in front of the store. For the settings of the
/// pool see [`SqliteSessions`](crate::sessions::SqliteSessions).
///
/// ```no_run
/// use std::time::SystemTime;
/// use tower_jwt_auth::revocation::{CachedRevocations, SqliteRevocations};
///
/// # async fn connect(pool: sqlx::SqlitePool) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteRevocations::open(pool).await?;
/// store.clean_up(SystemTime::now(), 1_000).await?;
/// # #[cfg(feature = "cache")]
/// let revocations = CachedRevocations::new(store);
/// # Ok(()) }
/// ```
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone)]
pub struct SqliteRevocations {
    pool: sqlx::SqlitePool,
}

/// Keeps revocations in PostgreSQL, for any number of nodes: in the table `jwt_revocations`, in the
/// first schema of the connection's `search_path`.
///
/// It reads no clock. An entry stays in effect until [`clean_up`](Self::clean_up) removes it, some
/// time after the last token that it covers has expired: call that regularly. Put
/// [`CachedRevocations`](crate::guide::revocation) in front of the store. For the settings of the
/// pool see [`PostgresSessions`](crate::sessions::PostgresSessions).
///
/// An id and its issuer may have at most some 2,700 bytes together, because they are in an index. With
/// longer ones, [`revoke`](RevocationStore::revoke) fails. The ids that this crate makes are short.
///
/// ```no_run
/// use std::time::SystemTime;
/// use tower_jwt_auth::revocation::{CachedRevocations, PostgresRevocations};
///
/// # async fn connect(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresRevocations::open(pool).await?;
/// store.clean_up(SystemTime::now(), 1_000).await?;
/// # #[cfg(feature = "cache")]
/// let revocations = CachedRevocations::new(store);
/// # Ok(()) }
/// ```
///
/// # Security
///
/// A pooler such as PgBouncer must not mix up the prepared statements of its clients. One that does
/// may run *another* statement than the requested one, and report success: a revocation may then not
/// be recorded. [`open`](Self::open) and [`migrate`](Self::migrate) detect that and fail.
/// [The guide](crate::guide::poolers) says which poolers can be used.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub struct PostgresRevocations {
    pool: sqlx::PgPool,
}

/// The primary key of a row. Its order is that in which all nodes lock rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    id: &'a str,
    kind: &'static str,
    issuer: &'a str,
}

/// The latest cut-off and the latest end that were given for a key, as columns.
#[derive(Debug, Clone, Copy)]
struct Reach {
    cutoff: i64,
    until: i64,
}

/// Returns one entry for each key, in order. PostgreSQL cannot change a row twice in one statement,
/// and two calls that lock the same rows in different orders would wait for each other.
fn entries(revocations: &[Revocation]) -> Vec<(Key<'_>, Reach)> {
    let mut entries: BTreeMap<Key<'_>, Reach> = BTreeMap::new();
    for revocation in revocations {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(jti) => ("token", jti, i64::MAX),
            RevocationTarget::Session(sid) => ("session", sid, i64::MAX),
            RevocationTarget::Subject { subject, cutoff } => ("subject", subject, micros(*cutoff)),
        };
        let issuer = revocation.issuer().unwrap_or_default();
        let until = micros(unix_micros(revocation.until()));
        entries
            .entry(Key { id, kind, issuer })
            .and_modify(|reach| {
                reach.cutoff = reach.cutoff.max(cutoff);
                reach.until = reach.until.max(until);
            })
            .or_insert(Reach { cutoff, until });
    }
    entries.into_iter().collect()
}

/// Implements what both databases have in common. It is a macro because the bounds on sqlx's types
/// that a generic function needs would be longer than the code.
macro_rules! implement_revocation_store {
    ($Store:ident, $schema:literal, $clean_up:expr) => {
        impl $Store {
            /// The SQL that creates the table and its index, to copy into your own migrations.
            pub const SCHEMA: &str = include_str!($schema);

            /// How long [`clean_up`](Self::clean_up) keeps an entry after its end: one hour, because
            /// the clock of another node may be behind.
            pub const CLEAN_UP_SLACK: Duration = SLACK;

            /// Removes at most `limit` entries that ended an [hour](Self::CLEAN_UP_SLACK) or more
            /// before `now`, and returns how many it removed.
            ///
            /// # Errors
            ///
            /// Fails if the database is unavailable.
            pub async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
                let before = now.checked_sub(SLACK).map_or(0, unix_micros);
                let query = sqlx::query($clean_up)
                    .bind(micros(before))
                    .bind(i64::from(limit));
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
        }

        impl RevocationStore for $Store {
            async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
                for entries in entries(revocations).chunks(CHUNK) {
                    self.record(entries).await.map_err(failed)?;
                }
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
    "migrations/sqlite/0001_jwt_revocations.sql",
    CLEAN_UP_SQLITE
);

#[cfg(feature = "sqlite")]
impl SqliteRevocations {
    /// Opens the store in the database of this pool, and creates the table and its index if they
    /// are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or read-only.
    pub async fn open(pool: sqlx::SqlitePool) -> Result<Self, StoreError> {
        let record = Self::new(pool);
        record.migrate().await?;
        Ok(record)
    }

    /// Creates the store without contacting the database.
    #[must_use]
    pub fn new(pool: sqlx::SqlitePool) -> Self {
        Self { pool }
    }

    /// Creates the table and its index if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or read-only.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        crate::sql::create_in_sqlite(&self.pool, Self::SCHEMA).await
    }

    async fn record(&self, entries: &[(Key<'_>, Reach)]) -> sqlx::Result<()> {
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(RECORD);
        query.push_values(entries, |mut row, (key, reach)| {
            row.push_bind(key.id)
                .push_bind(key.kind)
                .push_bind(key.issuer)
                .push_bind(reach.cutoff)
                .push_bind(reach.until);
        });
        query.push(WHERE_RECORDED);
        // One entry is the usual number, so only that statement is kept prepared.
        let query = query.build().persistent(entries.len() == 1);
        query.execute(&self.pool).await.map(drop)
    }
}

#[cfg(feature = "postgres")]
implement_revocation_store!(
    PostgresRevocations,
    "migrations/postgres/0001_jwt_revocations.sql",
    CLEAN_UP_POSTGRES
);

#[cfg(feature = "postgres")]
impl PostgresRevocations {
    /// Opens the store in the database of this pool. It [checks](Self::check_pooler) that no pooler
    /// mixes up prepared statements, and creates the table and its index if they are missing.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if
    /// a pooler mixes up prepared statements.
    pub async fn open(pool: sqlx::PgPool) -> Result<Self, StoreError> {
        let record = Self::new(pool);
        record.migrate().await?;
        Ok(record)
    }

    /// Creates the store without contacting the database. Behind a pooler, use
    /// [`open`](Self::open) instead, or call [`check_pooler`](Self::check_pooler) first.
    #[must_use]
    pub fn new(pool: sqlx::PgPool) -> Self {
        Self { pool }
    }

    /// [Checks](Self::check_pooler) that no pooler mixes up prepared statements, and creates the
    /// table and its index if they are missing. Several nodes may do so at once. A pool that has
    /// passed this check for another store is not checked again.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable, if the permission to create the table is missing, or if
    /// a pooler mixes up prepared statements.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        check_pooler_once(&self.pool).await?;
        crate::sql::create_in_postgres(&self.pool, "jwt_revocations", Self::SCHEMA).await
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

    async fn record(&self, entries: &[(Key<'_>, Reach)]) -> sqlx::Result<()> {
        let ids: Vec<_> = entries.iter().map(|(key, _)| key.id).collect();
        let kinds: Vec<_> = entries.iter().map(|(key, _)| key.kind).collect();
        let issuers: Vec<_> = entries.iter().map(|(key, _)| key.issuer).collect();
        let cutoffs: Vec<_> = entries.iter().map(|(_, reach)| reach.cutoff).collect();
        let ends: Vec<_> = entries.iter().map(|(_, reach)| reach.until).collect();
        let query = sqlx::query(RECORD_POSTGRES.as_str())
            .bind(ids)
            .bind(kinds)
            .bind(issuers)
            .bind(cutoffs)
            .bind(ends);
        query.execute(&self.pool).await.map(drop)
    }
}

/// Converts a time for a column. A time that is too large becomes the largest, so that the entry
/// covers no fewer tokens.
fn micros(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
