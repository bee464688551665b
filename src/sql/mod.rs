//! What the stores in SQL databases have in common: numbers that fit a column, errors, the
//! creation of tables, and what a pooler must keep.

#[cfg(feature = "postgres")]
mod pooler;

use crate::store::StoreError;

/// What a database reports.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    StoreError::new(error)
}

/// A number for a column.
pub(crate) fn column(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::new("a number is too large for its column"))
}

/// A number from a column.
pub(crate) fn number(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| StoreError::new("a column holds a negative number"))
}

/// Creates what is missing of a schema.
#[cfg(feature = "sqlite")]
pub(crate) async fn create_in_sqlite(
    pool: &sqlx::SqlitePool,
    schema: &'static str,
) -> Result<(), StoreError> {
    sqlx::raw_sql(schema).execute(pool).await.map_err(failed)?;
    Ok(())
}

/// Creates what is missing of a schema, in one transaction. Nodes that start at once do so one
/// after the other.
///
/// It is one message, so it needs no transaction of several, nor a connection of its own behind a
/// pooler. That a table exists already is nothing to be noticed.
#[cfg(feature = "postgres")]
pub(crate) async fn create_in_postgres(
    pool: &sqlx::PgPool,
    table: &'static str,
    schema: &'static str,
) -> Result<(), StoreError> {
    let message = sqlx::AssertSqlSafe(format!(
        "SELECT set_config('client_min_messages', 'warning', true), \
         pg_advisory_xact_lock(hashtextextended('{table}', 7119021735));\n{schema}"
    ));
    sqlx::raw_sql(message).execute(pool).await.map_err(failed)?;
    Ok(())
}

/// Checks that prepared statements hold on the connections of this pool.
#[cfg(feature = "postgres")]
pub(crate) async fn check_pooler(pool: &sqlx::PgPool) -> Result<(), StoreError> {
    pooler::check(pool).await
}
