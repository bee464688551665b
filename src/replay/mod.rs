//! Stores of the proofs that were used, so that none is used twice (RFC 9449 section 11.1).

mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store;

pub use memory::{DEFAULT_MEMORY_REPLAYS, MemoryReplays};
#[cfg(feature = "redis")]
pub use redis::RedisReplays;
#[cfg(feature = "postgres")]
pub use sql::PostgresReplays;
#[cfg(feature = "sqlite")]
pub use sql::SqliteReplays;
pub(crate) use store::DynReplayStore;
pub use store::{ReplayEntry, ReplayStore};
