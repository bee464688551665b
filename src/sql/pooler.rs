//! Whether prepared statements hold on the connections of a pool, or a pooler mixes them up.
//!
//! sqlx numbers the prepared statements of each connection: `sqlx_s_1`, `sqlx_s_2`. A pooler that
//! hands one server connection to several clients in turn, and does not keep their statements
//! apart, runs the `sqlx_s_2` of whoever prepared it there, and reports success.

use std::pin::pin;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgSeverity};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::time::timeout;

use super::failed;
use crate::store::{StoreError, in_time};

/// How long a new client waits beside idle ones before they are closed. (sqlx warns of a statement
/// that takes a second.)
const PATIENCE: Duration = Duration::from_millis(750);
/// The longest that each step of the check may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a client waits beside an open transaction before that is committed.
const BESIDE_A_TRANSACTION: Duration = Duration::from_millis(100);
/// The number of times that two clients take turns.
const ROUNDS: u32 = 8;
/// The number of statements that each client has.
const STATEMENTS: u32 = 3;
/// The number of parameters that each statement has. Should the pooler run the statement of another
/// program in its place, PostgreSQL refuses unless that has as many; and this is a rare number.
const PARAMETERS: usize = 13;

/// Checks that each client gets the answers to its own prepared statements.
///
/// The clients are connections beside the pool, with its options. A pooler that keeps a server
/// connection for each client may have none left for them. Then one is answered as soon as another
/// is closed, which shows that each has one for itself, and that is enough.
pub(super) async fn check(pool: &PgPool) -> Result<(), StoreError> {
    let options = pool.connect_options();

    let idle = pool.acquire().await.map_err(failed)?;
    let close_idle = async || drop(idle.close().await);
    let Some(first) = beside(Client::open(&options, 1), close_idle).await? else {
        return Ok(());
    };
    let mut first = Some(first);
    let close_first = async || close(first.take()).await;
    let Some(mut second) = beside(Client::open(&options, 2), close_first).await? else {
        return Ok(());
    };
    if let Some(first) = &mut first {
        in_time(LIMIT, take_turns(first, &mut second)).await?;
    }
    // The next client gets a server connection that is as good as new.
    close(first).await;
    close(Some(second)).await;
    in_time(LIMIT, Client::open(&options, 3)).await.map(drop)
}

/// Waits for `work`. If that takes long, closes what is idle; if only then it is done, returns
/// `None`.
async fn beside<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    close_idle: impl AsyncFnOnce(),
) -> Result<Option<T>, StoreError> {
    let mut work = pin!(work);
    if let Ok(done) = timeout(PATIENCE, &mut work).await {
        return done.map(Some);
    }
    close_idle().await;
    in_time(LIMIT, work).await.map(|_| None)
}

/// Two clients run statements in turn, and beside a transaction of the other.
async fn take_turns(first: &mut Client, second: &mut Client) -> Result<(), StoreError> {
    let (mut one, mut other) = (first, second);
    for _ in 0..ROUNDS {
        one.run().await?;
        other.run().await?;
        one.simple("BEGIN READ ONLY").await?;
        one.run().await?;
        {
            let mut beside = pin!(other.run());
            let done = timeout(BESIDE_A_TRANSACTION, &mut beside).await;
            one.simple("COMMIT").await?;
            match done {
                Ok(done) => done?,
                // It waited for the server connection of the transaction.
                Err(_) => beside.await?,
            }
        }
        (one, other) = (other, one);
    }
    Ok(())
}

/// A connection with statements of its own.
struct Client {
    connection: PgConnection,
    number: u32,
    runs: u32,
}

// === impl Client ===

impl Client {
    /// Connects, and runs each statement once.
    async fn open(options: &PgConnectOptions, number: u32) -> Result<Self, StoreError> {
        let mut client = Self {
            connection: options.connect().await.map_err(failed)?,
            number,
            runs: 0,
        };
        for _ in 0..STATEMENTS {
            client.run().await?;
        }
        Ok(client)
    }

    /// Runs the next statement, and compares its answer.
    async fn run(&mut self) -> Result<(), StoreError> {
        let expected = self.number * STATEMENTS + self.runs % STATEMENTS;
        self.runs += 1;
        let parameters: Vec<_> = (1..=PARAMETERS)
            .map(|number| format!("${number}"))
            .collect();
        let nothing = format!("coalesce({}) IS NULL", parameters.join(", "));
        let statement = AssertSqlSafe(format!("SELECT {expected}::bigint WHERE {nothing}"));
        let mut query = sqlx::query_scalar::<_, i64>(statement);
        for _ in 0..PARAMETERS {
            query = query.bind(None::<i64>);
        }
        match query.fetch_all(&mut self.connection).await {
            Ok(answer) if answer == [i64::from(expected)] => Ok(()),
            Ok(_) => Err(mixed_up("a statement got the answer to another one")),
            Err(error) => Err(judge(error)),
        }
    }

    /// Runs a statement that is not prepared.
    async fn simple(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(statement).execute(&mut self.connection);
        done.await.map(drop).map_err(failed)
    }
}

async fn close(client: Option<Client>) {
    if let Some(client) = client {
        let _ = client.connection.close().await; // it is of no more use
    }
}

/// Whether an error is one that a client causes which has a server connection to itself.
fn judge(error: sqlx::Error) -> StoreError {
    let reported = match &error {
        sqlx::Error::Database(reported) => reported.try_downcast_ref::<PgDatabaseError>(),
        // The answer has other columns.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            return mixed_up(&error.to_string());
        }
        _ => None,
    };
    match reported {
        // The name is taken; there is no such name; that statement has other parameters.
        Some(reported)
            if matches!(reported.severity(), PgSeverity::Error)
                && matches!(reported.code(), "42P05" | "26000" | "08P01") =>
        {
            mixed_up(reported.message())
        }
        _ => failed(error),
    }
}

fn mixed_up(found: &str) -> StoreError {
    StoreError::new(format!(
        "a pooler between this service and PostgreSQL mixes up prepared statements ({found}), so \
         that it may run another statement than the one it was asked to: set the pooler to session \
         pooling, or use PgBouncer 1.21 or later with max_prepared_statements above 0, or connect \
         to PostgreSQL directly"
    ))
}
