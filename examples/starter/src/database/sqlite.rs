//! The SQLite file: how it is opened, and brought up to date.

use std::fs::{File, OpenOptions};
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tower_jwt_auth::credential::api_keys::SqliteApiKeys; // chapter: api-keys
use tower_jwt_auth::revocation::SqliteRevocations;
use tower_jwt_auth::sessions::SqliteSessions;

use super::ACQUIRE_TIMEOUT;
use crate::error::Error;
use crate::error::with_causes;

/// How long a statement waits for another writer before the request is answered with 503.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// SQLite has one writer at a time; more connections only help readers.
const MAX_CONNECTIONS: u32 = 8;

/// Opens the file, makes it if there is none, and brings its tables up to date.
pub(super) async fn open(url: &str) -> Result<SqlitePool, Error> {
    if url.contains(":memory:") {
        return Err("DATABASE_URL must name a file, such as sqlite:service.sqlite".into());
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| format!("DATABASE_URL: {error}"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What was answered outlives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true);
    make_private(&options)
        .map_err(|error| format!("DATABASE_URL: cannot make the file of the database: {error}"))?;
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

/// Of processes that start at once on a new file, one prepares it, and the others wait. (SQLite
/// alone does not see to that: sqlx reads what is to be done before it takes the lock for it.)
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

/// Makes the file so that only its owner can read it: it holds hashes of passwords. SQLite gives its
/// journal the same rights. A file that is there already keeps those that the operator gave it.
fn make_private(options: &SqliteConnectOptions) -> io::Result<()> {
    let file = options.get_filename();
    private(OpenOptions::new().write(true)).open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(file)?.permissions().mode() & 0o007 != 0 {
            let file = file.display();
            tracing::warn!(%file, "others can read the database: `chmod 600` it, and -wal and -shm");
        }
    }
    Ok(())
}

/// Made if it is not there, for its owner alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).truncate(false)
}

/// Brings the tables of the crate and those of the service up to date.
async fn migrate(pool: &SqlitePool) -> Result<(), Error> {
    SqliteSessions::new(pool.clone()).migrate().await?;
    SqliteRevocations::new(pool.clone()).migrate().await?;
    SqliteApiKeys::new(pool.clone()).migrate().await?; // chapter: api-keys
    Ok(sqlx::migrate!("migrations/sqlite").run(pool).await?)
}
