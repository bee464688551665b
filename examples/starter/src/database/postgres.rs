//! The PostgreSQL server: how it is connected to, and its database brought up to date.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tower_jwt_auth::revocation::PostgresRevocations;
use tower_jwt_auth::sessions::PostgresSessions;

use super::ACQUIRE_TIMEOUT;
use crate::Error;
use crate::error::with_causes;

/// How long a statement may take, with the locks that it waits for, before the request is
/// answered with 503.
const STATEMENT_TIMEOUT: &str = "2s";
/// How long a connection may take to say that it is still there.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Of each process: the server allows 100 in all, if nothing else is said.
const MAX_CONNECTIONS: u32 = 10;

/// Connects, and brings the tables up to date.
pub(super) async fn open(url: &str) -> Result<PgPool, Error> {
    // What cannot be read is not repeated: it may hold the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| format!("DATABASE_URL cannot be read: {error}"))?;
    reach(&options).await?;
    migrate(options.clone()).await?;
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The pool asks this too, but would wait for as long as the system keeps a connection to
        // a machine that is gone.
        .after_release(|connection, _| {
            Box::pin(async {
                let answered = tokio::time::timeout(PING_TIMEOUT, connection.ping());
                answered.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
                Ok(true)
            })
        })
        .connect_with(options.options([("statement_timeout", STATEMENT_TIMEOUT)]))
        .await
        .map_err(|error| cannot("reach", &error))
}

/// A pool would try until its time is up, and not say why it is in vain.
async fn reach(options: &PgConnectOptions) -> Result<(), Error> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(options));
    let connection = connected
        .await
        .map_err(|error| cannot("reach", &error))?
        .map_err(|error| cannot("reach", &error))?;
    let _ = connection.close().await; // it has answered
    Ok(())
}

/// Over a connection of its own: a migration may take its time, and so may another process that
/// is at it already.
async fn migrate(options: PgConnectOptions) -> Result<(), Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // That a table is there already is no news.
        .connect_with(options.options([("client_min_messages", "warning")]))
        .await
        .map_err(|error| cannot("reach", &error))?;
    let migrated = async {
        PostgresSessions::new(pool.clone()).migrate().await?;
        PostgresRevocations::new(pool.clone()).migrate().await?;
        Ok::<_, Error>(sqlx::migrate!("migrations/postgres").run(&pool).await?)
    };
    let migrated = migrated.await;
    pool.close().await;
    migrated.map_err(|error| cannot("bring up to date", &*error))
}

fn cannot(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let error = with_causes(error);
    format!("DATABASE_URL: cannot {what} the database: {error}").into()
}
