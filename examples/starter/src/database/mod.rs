//! [`Database`]: the connections to SQLite or PostgreSQL, as the URL says, and what their errors mean.
//!
//! To remove PostgreSQL: `./chapters remove postgres` (see `docs/removing.md`). SQLite cannot be removed.

mod fault;
mod own_connection; // chapter: postgres
mod postgres; // chapter: postgres
mod sqlite;
#[cfg(test)]
pub(crate) mod temporary;

pub(crate) use fault::Fault;

use sqlx::PgPool; // chapter: postgres
use sqlx::SqlitePool;

use crate::error::Error;

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// The connections to the database. Clones share them.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file on this machine.
    Sqlite(SqlitePool),
    // chapter: postgres {
    /// A server that other machines may share.
    Postgres(PgPool),
    // chapter: postgres }
}

// === impl Database ===

impl Database {
    /// Connects, and creates or updates the tables.
    ///
    /// # Errors
    ///
    /// Fails if the URL is invalid, the database is unavailable, or a migration fails.
    pub async fn open(url: &str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) => sqlite::open(url).await.map(Self::Sqlite),
            // chapter: postgres {
            Some(("postgres" | "postgresql", _)) => postgres::open(url).await.map(Self::Postgres),
            // chapter: postgres }
            _ => Err(
                "DATABASE_URL must start with sqlite:, or with postgres:// for PostgreSQL".into(),
            ),
        }
    }

    /// Checks that the database can be written to. Reading still works with a full disk, on a replica, or
    /// while another process holds the lock.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable or cannot be written to.
    pub async fn check_writable(&self) -> sqlx::Result<()> {
        let query = "INSERT INTO writable (id, checked_at) VALUES (1, $1) \
                     ON CONFLICT (id) DO UPDATE SET checked_at = $1";
        on_pool!(self, pool => {
            sqlx::query(query).bind(crate::times::now()).execute(pool).await.map(drop)
        })
    }

    /// Returns the statement that begins a transaction that writes. It takes the lock for writing first, so
    /// that the transaction does not fail in the middle because another one has it.
    pub(crate) fn begin_to_write(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN", // chapter: postgres
        }
    }

    /// Waits for running statements, and closes the connections.
    pub async fn close(&self) {
        on_pool!(self, pool => pool.close().await);
    }
}

/// Runs the same code on the pool of either database: `on_pool!(&database, pool =>
/// sqlx::query(STATEMENT).execute(pool).await?)`.
///
/// The SQL must work on both: `$1` for a value, `TRUE` and `NOT`, and no function that only one of them
/// has. Do not hold a transaction with it in a request. A request can be dropped at any `await`, and then
/// sqlx 0.9 may leave the transaction open on PostgreSQL. One statement is enough for most things. Run the rest in
/// [`finish`](crate::finish::finish).
macro_rules! on_pool {
    ($database:expr, $pool:ident => $run:expr) => {
        match $database {
            $crate::Database::Sqlite($pool) => $run,
            $crate::Database::Postgres($pool) => $run, // chapter: postgres
        }
    };
}
pub(crate) use on_pool;
