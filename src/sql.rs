//! What the stores in SQL databases have in common: numbers that fit a column, and errors.

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
