//! The check whether a pooler mixes up prepared statements.
//!
//! sqlx numbers the prepared statements of each connection: `sqlx_s_1`, `sqlx_s_2`. If a pooler
//! gives one server connection to several clients in turn and does not keep their statements
//! apart, it runs the `sqlx_s_2` of another client, and reports success.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgSeverity};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::time::Instant;

use super::failed;
use crate::store::{StoreError, in_time};
use crate::sync::timeout;

/// How long a new client waits, in the first attempt, before an idle one is closed.
const PATIENCE: Duration = Duration::from_millis(750);
/// How often the check is tried if clients are served only after another one is closed.
const ATTEMPTS: u32 = 2;
/// The longest time that each step of the check may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a client waits while the other has an open transaction, before that is committed.
const BESIDE_A_TRANSACTION: Duration = Duration::from_millis(100);
/// The number of times that two clients take turns.
const ROUNDS: u32 = 8;
/// The number of statements that each client has.
const STATEMENTS: u32 = 3;
/// The number of parameters of each statement. If the pooler runs the statement of another program instead,
/// PostgreSQL refuses it unless it has the same number of parameters, and 13 are rare.
const PARAMETERS: usize = 13;

/// The options of the pools that passed the check. Those of a pool are the same as long as it lives.
static PASSED: Mutex<Vec<Weak<PgConnectOptions>>> = Mutex::new(Vec::new());

/// Checks the pool, unless it has passed before: several stores may share it.
pub(crate) async fn check_pooler_once(pool: &PgPool) -> Result<(), StoreError> {
    let options = Arc::downgrade(&pool.connect_options());
    if passed().iter().any(|passed| passed.ptr_eq(&options)) {
        return Ok(());
    }
    check_pooler(pool).await
}

/// Checks the pool, and remembers that it has passed.
pub(crate) async fn check_pooler(pool: &PgPool) -> Result<(), StoreError> {
    check(pool).await?;
    let mut passed = passed();
    passed.retain(|passed| passed.strong_count() > 0);
    passed.push(Arc::downgrade(&pool.connect_options()));
    Ok(())
}

fn passed() -> MutexGuard<'static, Vec<Weak<PgConnectOptions>>> {
    PASSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that each client gets the results of its own prepared statements.
///
/// The clients are connections outside the pool, with the pool's options. A pooler that keeps a
/// server connection for each client may have none left for them. If a client is then served as
/// soon as another is closed, each client has a server connection for itself, and the check is done.
/// A slow network looks the same, so the next attempt waits for twice as long as that client took.
async fn check(pool: &PgPool) -> Result<(), StoreError> {
    let options = pool.connect_options().as_ref().clone();
    // Such a wait is no slow statement that somebody should look into.
    let options = options.disable_statement_logging();
    let mut patience = PATIENCE;
    for _ in 0..ATTEMPTS {
        match attempt(pool, &options, patience).await? {
            Served::Beside => break,
            Served::AfterAnother(took) => patience = took * 2,
        }
    }
    Ok(())
}

/// How the pooler served the clients.
enum Served {
    /// All at once, each with its own statements.
    Beside,
    /// One was served only after another had been closed, after this time.
    AfterAnother(Duration),
}

async fn attempt(
    pool: &PgPool,
    options: &PgConnectOptions,
    patience: Duration,
) -> Result<Served, StoreError> {
    let mut idle = pool.acquire().await.map_err(failed)?;
    // Some poolers choose a server connection only for the first statement.
    idle.ping().await.map_err(failed)?;
    let close_idle = async || drop(idle.close().await);
    let (first, late) = beside(patience, Client::open(options, 1), close_idle).await?;
    if let Some(took) = late {
        first.close().await;
        return Ok(Served::AfterAnother(took));
    }
    let mut first = Some(first);
    let close_first = async || {
        if let Some(first) = first.take() {
            first.close().await;
        }
    };
    let (mut second, late) = beside(patience, Client::open(options, 2), close_first).await?;
    if let Some(took) = late {
        second.close().await;
        return Ok(Served::AfterAnother(took));
    }
    if let Some(mut first) = first {
        in_time(LIMIT, take_turns(&mut first, &mut second)).await?;
        first.close().await;
    }
    second.close().await;
    // The next client must get a server connection without the statements of the others.
    in_time(LIMIT, Client::open(options, 3)).await?;
    Ok(Served::Beside)
}

/// Waits for `work`. If that takes longer than `patience`, it closes the idle connection, and also returns how
/// long the work took.
async fn beside<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
    close_idle: impl AsyncFnOnce(),
) -> Result<(T, Option<Duration>), StoreError> {
    let begin = Instant::now();
    let mut work = pin!(work);
    if let Ok(done) = timeout(patience, &mut work).await {
        return Ok((done?, None));
    }
    close_idle().await;
    let done = in_time(LIMIT, work).await?;
    Ok((done, Some(begin.elapsed())))
}

/// Lets two clients run statements in turn, also while the other has an open transaction.
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
                // It had to wait for the server connection of the transaction.
                Err(_) => beside.await?,
            }
        }
        (one, other) = (other, one);
    }
    Ok(())
}

/// A connection with its own statements.
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

    /// Runs the next statement, and compares its result.
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
            Ok(_) => Err(mixed_up("a statement got the result of another one")),
            Err(error) => Err(judge(error)),
        }
    }

    /// Runs a statement that is not prepared.
    async fn simple(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(statement).execute(&mut self.connection);
        done.await.map(drop).map_err(failed)
    }

    async fn close(self) {
        let _ = self.connection.close().await; // it is no longer needed
    }
}

/// Tells the errors of mixed-up statements from all others.
fn judge(error: sqlx::Error) -> StoreError {
    let reported = match &error {
        sqlx::Error::Database(reported) => reported.try_downcast_ref::<PgDatabaseError>(),
        // The result has other columns.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            return mixed_up(&error.to_string());
        }
        _ => None,
    };
    match reported {
        // The name is taken, the name does not exist, or the statement has other parameters.
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
         it may run another statement than the requested one: set the pooler to session pooling, \
         or use PgBouncer 1.21 or later with max_prepared_statements above 0, or connect to \
         PostgreSQL directly"
    ))
}
