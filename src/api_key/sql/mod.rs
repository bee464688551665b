//! Stores of API keys in SQLite and PostgreSQL, through sqlx.

#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod store;

#[cfg(feature = "postgres")]
pub use postgres::PostgresApiKeys;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteApiKeys;
