//! Code that the stores in SQL databases share: numbers in columns, errors, the creation of tables,
//! and the check for unsuitable poolers.

#[cfg(feature = "postgres")]
mod pooler;

use sqlx::{ColumnIndex, Decode, Row, Type};

#[cfg(feature = "postgres")]
pub(crate) use pooler::{check_pooler, check_pooler_once};

use crate::store::StoreError;

/// Converts an error of the database.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    StoreError::new(error)
}

/// Converts a number for a column.
pub(crate) fn column(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::new("a number is too large for its column"))
}

/// Reads a number from a column.
pub(crate) fn number(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| StoreError::new("a column contains a negative number"))
}

/// Reads an optional number from a column.
pub(crate) fn optional(column: Option<i64>) -> Result<Option<u64>, StoreError> {
    column.map(number).transpose()
}

/// Reads a column of a row, which is found by its name.
pub(crate) fn get<'r, R, T>(row: &'r R, column: &'static str) -> Result<T, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    T: Decode<'r, <R as Row>::Database> + Type<<R as Row>::Database>,
{
    row.try_get(column).map_err(failed)
}

/// Creates the missing parts of a schema.
#[cfg(feature = "sqlite")]
pub(crate) async fn create_in_sqlite(
    pool: &sqlx::SqlitePool,
    schema: &'static str,
) -> Result<(), StoreError> {
    sqlx::raw_sql(schema).execute(pool).await.map_err(failed)?;
    Ok(())
}

/// Creates the missing parts of a schema in one transaction. Nodes that start at the same time wait
/// for each other.
///
/// The statements are sent in one message, so they form one transaction and need no connection of
/// their own behind a pooler. PostgreSQL's notice that a table already exists is suppressed.
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
