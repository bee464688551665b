//! PostgreSQL: connections, and the migration of the database.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tower_jwt_auth::credential::api_keys::PostgresApiKeys; // chapter: api-keys
use tower_jwt_auth::dpop::PostgresReplays;
use tower_jwt_auth::revocation::PostgresRevocations;
use tower_jwt_auth::sessions::PostgresSessions;

use super::ACQUIRE_TIMEOUT;
use super::own_connection::has_own_connection;
use crate::error::Error;
use crate::error::with_causes;

/// How long a statement may take, with the locks that it waits for, before the request gets a 503.
const STATEMENT_TIMEOUT: &str = "2s";
/// How long a connection may take to show that it still works.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// The size of the pool in each process. By default the server allows 100 connections altogether.
const MAX_CONNECTIONS: u32 = 10;

/// Makes processes that start at once migrate one after the other. The lock ends with the transaction, so
/// that a pooler cannot keep it. Others may wait for it for as long as a migration takes. Notices about
/// existing tables are not shown.
const BEFORE_MIGRATIONS: [&str; 3] = [
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL client_min_messages = warning",
    "SELECT pg_advisory_xact_lock(hashtextextended('service migrations', 0))",
];

/// Connects, and creates or updates the tables.
pub(super) async fn open(url: &str) -> Result<PgPool, Error> {
    // The URL is not repeated, because it may contain the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| format!("DATABASE_URL cannot be read: {error}"))?
        // Poolers refuse this startup parameter, and no column holds a float.
        .extra_float_digits(None);
    reach(&options).await?;
    let sets_timeout = prepare(&options).await?;
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Not a startup parameter, because poolers refuse or ignore those.
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if sets_timeout {
                    let set = format!("SET statement_timeout = '{STATEMENT_TIMEOUT}'");
                    let set = sqlx::raw_sql(AssertSqlSafe(set));
                    set.execute(connection).await?;
                }
                Ok(())
            })
        })
        // The pool would check that a connection works too, but wait for as long as the operating system keeps
        // a connection to a machine that is gone.
        .after_release(|connection, _| {
            Box::pin(async {
                let answered = tokio::time::timeout(PING_TIMEOUT, can_write(connection));
                answered.await.map_err(|_| sqlx::Error::PoolTimedOut)?
            })
        })
        .connect_with(options)
        .await
        .map_err(|error| cannot("reach", &error))
}

/// Returns whether the server is still the primary. After a failover, a connection may stay open to a server that
/// only reads. The pool then closes it, so that the next one leads to the server that has its name now.
async fn can_write(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let read_only = sqlx::raw_sql("SHOW transaction_read_only");
    let read_only: String = read_only.fetch_one(connection).await?.try_get(0)?;
    Ok(read_only == "off")
}

/// Connects once. A pool would try until its time is up, and not say what is wrong.
async fn reach(options: &PgConnectOptions) -> Result<(), Error> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(options));
    let connection = connected
        .await
        .map_err(|error| cannot("reach", &error))?
        .map_err(|error| cannot("reach", &error))?;
    let _ = connection.close().await; // the server is reachable
    Ok(())
}

/// Checks what a pooler may break, and migrates, over one connection without a time limit for statements.
/// Returns whether each other connection should set a limit.
async fn prepare(options: &PgConnectOptions) -> Result<bool, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone())
        .await
        .map_err(|error| cannot("reach", &error))?;
    let statements = PostgresSessions::new(pool.clone()).check_pooler().await;
    let prepared = match (statements, sets_timeout(&pool, options).await) {
        (Ok(()), Ok(sets_timeout)) => match migrate(&pool).await {
            Ok(()) => Ok(sets_timeout),
            Err(error) => Err(cannot("bring up to date", &*error)),
        },
        (Ok(()), Err(error)) => Err(cannot("use", &*error)),
        (Err(error), Ok(_)) => Err(cannot("use", &error)),
        (Err(error), Err(other)) => Err(format!(
            "{}; besides, {}",
            cannot("use", &error),
            with_causes(&*other)
        )
        .into()),
    };
    pool.close().await;
    prepared
}

async fn migrate(pool: &PgPool) -> Result<(), Error> {
    PostgresSessions::new(pool.clone()).migrate().await?;
    PostgresRevocations::new(pool.clone()).migrate().await?;
    PostgresReplays::new(pool.clone()).migrate().await?;
    PostgresApiKeys::new(pool.clone()).migrate().await?; // chapter: api-keys
    let mut transaction = pool.begin().await?;
    for statement in BEFORE_MIGRATIONS {
        sqlx::raw_sql(statement).execute(&mut *transaction).await?;
    }
    let mut migrations = sqlx::migrate!("migrations/postgres");
    // Its own lock would belong to the session.
    migrations.set_locking(false).run(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Returns whether each connection should set its time limit for statements. If a pooler would lose the
/// setting, the role or the database must have one.
async fn sets_timeout(pool: &PgPool, options: &PgConnectOptions) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    if has_own_connection(&mut connection, options).await? {
        return Ok(true);
    }
    // The value where no client has changed it.
    let default = "SELECT reset_val = '0' FROM pg_settings WHERE name = 'statement_timeout'";
    let default = sqlx::raw_sql(default).fetch_one(&mut *connection).await?;
    if default.try_get(0)? {
        return Err(format!(
            "a pooler gives a connection of PostgreSQL to several clients in turn, so that this \
             service cannot set a statement_timeout: set one for the role, with `ALTER ROLE \
             CURRENT_USER SET statement_timeout = '{STATEMENT_TIMEOUT}'`, and restart the pooler, \
             or set the pooler to session pooling, or connect to PostgreSQL directly"
        )
        .into());
    }
    Ok(false)
}

fn cannot(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let error = with_causes(error);
    format!("DATABASE_URL: cannot {what} the database: {error}").into()
}
