//! The SQLite file: how it is opened, and brought up to date.

use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use tower_jwt_auth::revocation::SqliteRevocations;
use tower_jwt_auth::session::SqliteSessions;

use crate::Error;
use crate::error::with_causes;

/// How long a statement waits for another writer before the request is answered with 503.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// SQLite has one writer at a time; more connections only help readers.
const MAX_CONNECTIONS: u32 = 8;

/// The connections to the database; clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    pool: SqlitePool,
}

// === impl Database ===

impl Database {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// A URL that is none of SQLite's, a file that cannot be opened, a migration that fails.
    pub async fn open(url: &str) -> Result<Self, Error> {
        if !url.starts_with("sqlite:") || url.contains(":memory:") {
            return Err("DATABASE_URL must name a file, such as sqlite:starter.sqlite".into());
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| format!("DATABASE_URL: {error}"))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|error| format!("DATABASE_URL: cannot open the database: {error}"))?;
        migrate(&pool).await.map_err(|error| {
            let error = with_causes(&*error);
            format!("cannot bring the database up to date: {error}")
        })?;
        Ok(Self { pool })
    }

    /// Waits for what is running, and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

/// The crate's tables first: a migration of ours moves rows into them.
async fn migrate(pool: &SqlitePool) -> Result<(), Error> {
    SqliteSessions::new(pool.clone()).migrate().await?;
    SqliteRevocations::new(pool.clone()).migrate().await?;
    Ok(sqlx::migrate!().run(pool).await?)
}
