//! Finds out whether a client has a PostgreSQL connection to itself, or shares it through a pooler.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// How long a second client may wait while the first one is idle.
const PATIENCE: Duration = Duration::from_millis(750);
/// How often the two clients are asked in turn.
const ROUNDS: usize = 4;
/// A setting that PostgreSQL does not know, and keeps for each of its connections.
const SETTING: &str = "service.connection";

/// Returns whether a setting of this client stays set, and only for this client.
///
/// If a second client has to wait until the first one is gone, the first one keeps its connection.
pub(super) async fn has_own_connection(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> sqlx::Result<bool> {
    let second = async {
        let mut second = PgConnection::connect_with(options).await?;
        let name = mark(&mut second).await?;
        Ok::<_, sqlx::Error>((second, name))
    };
    let name = mark(first).await?;
    let Ok(second) = tokio::time::timeout(PATIENCE, second).await else {
        return Ok(true);
    };
    let (mut second, second_name) = second?;
    let mut is_own = true;
    for round in 0..ROUNDS {
        is_own &= is_marked(first, &name).await?;
        is_own &= is_marked(&mut second, &second_name).await?;
        if round % 2 == 0 {
            // One more query by the first client, so that connections that take turns get out of step.
            is_own &= is_marked(first, &name).await?;
        }
    }
    let _ = second.close().await; // it is not needed any more
    Ok(is_own)
}

/// Sets the setting to a value that no other client has, and returns that value.
async fn mark(connection: &mut PgConnection) -> sqlx::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    let name = format!("{:032x}", u128::from_ne_bytes(random));
    let set = AssertSqlSafe(format!("SET {SETTING} = '{name}'"));
    sqlx::raw_sql(set).execute(connection).await?;
    Ok(name)
}

async fn is_marked(connection: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let get = AssertSqlSafe(format!("SELECT current_setting('{SETTING}', true)"));
    let row = sqlx::raw_sql(get).fetch_one(connection).await?;
    Ok(row.try_get::<Option<String>, _>(0)?.as_deref() == Some(name))
}
