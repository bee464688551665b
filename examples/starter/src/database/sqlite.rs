//! SQLite: the file, and the migration of the database.

use std::fs::{File, OpenOptions};
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tower_jwt_auth::credential::api_keys::SqliteApiKeys; // chapter: api-keys
use tower_jwt_auth::dpop::SqliteReplays;
use tower_jwt_auth::revocation::SqliteRevocations;
use tower_jwt_auth::sessions::SqliteSessions;

use super::ACQUIRE_TIMEOUT;
use crate::error::Error;
use crate::error::with_causes;

/// How long a statement waits for another writer before the request gets a 503.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// SQLite has one writer at a time. More connections only help readers.
const MAX_CONNECTIONS: u32 = 8;

/// Opens the file, makes it if there is none, and creates or updates the tables.
pub(super) async fn open(url: &str) -> Result<SqlitePool, Error> {
    if url.contains(":memory:") {
        return Err("DATABASE_URL must name a file, such as sqlite:service.sqlite".into());
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| format!("DATABASE_URL: {error}"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A change that was confirmed to a client survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true);
    make_private(&options)
        .map_err(|error| format!("DATABASE_URL: cannot create the database file: {error}"))?;
    let lock = lock(&options)
        .await
        .map_err(|error| format!("DATABASE_URL: cannot open the database: {error}"))?;
    let pool = SqlitePoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // There is no network between: a test before each statement would find nothing, and cost as much.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|error| format!("DATABASE_URL: cannot open the database: {error}"))?;
    migrate(&pool).await.map_err(|error| {
        let error = with_causes(&*error);
        format!("DATABASE_URL: cannot bring the database up to date: {error}")
    })?;
    drop(lock);
    Ok(pool)
}

/// Locks a file, so that only one of several processes that start at once prepares a new database. SQLite
/// alone does not prevent this, because sqlx reads what to do before it takes the lock.
async fn lock(options: &SqliteConnectOptions) -> io::Result<File> {
    let mut path = options.get_filename().as_os_str().to_owned();
    path.push(".lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = private(OpenOptions::new().write(true)).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await?
}

/// Creates the file so that only its owner can read it, because it contains password hashes. SQLite gives
/// its journal the same permissions. An existing file keeps the permissions that the operator gave it.
fn make_private(options: &SqliteConnectOptions) -> io::Result<()> {
    let file = options.get_filename();
    private(OpenOptions::new().write(true)).open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(file)?.permissions().mode() & 0o007 != 0 {
            let file = file.display();
            tracing::warn!(%file, "others can read the database: `chmod 600` it, its -wal and its -shm");
        }
    }
    Ok(())
}

/// Creates missing files for their owner alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).truncate(false)
}

/// Creates or updates the tables of the crate and of the service.
async fn migrate(pool: &SqlitePool) -> Result<(), Error> {
    SqliteSessions::new(pool.clone()).migrate().await?;
    SqliteRevocations::new(pool.clone()).migrate().await?;
    SqliteReplays::new(pool.clone()).migrate().await?;
    SqliteApiKeys::new(pool.clone()).migrate().await?; // chapter: api-keys
    Ok(sqlx::migrate!("migrations/sqlite").run(pool).await?)
}
