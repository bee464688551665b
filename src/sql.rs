//! What the stores in SQL databases have in common: numbers that fit a column, and errors.

use std::future::Future;

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

/// Runs to its end even if the caller does not wait for it.
///
/// A transaction is run so: sqlx 0.9 leaves one open on a connection to PostgreSQL, and
/// gives that connection to the next user, where the future that began it is dropped before
/// the server has answered `BEGIN`.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|stopped| Err(StoreError::new(stopped)))
}
