//! Records of API keys, the stores that keep them, and their events.

mod event;
mod memory;
mod record;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store;
mod timed;

pub use event::ApiKeyEvent;
pub use memory::MemoryApiKeys;
pub use record::{ApiKeyRecord, RevokedApiKey};
#[cfg(feature = "postgres")]
pub use sql::PostgresApiKeys;
#[cfg(feature = "sqlite")]
pub use sql::SqliteApiKeys;
pub use store::{ApiKeyStore, ApiKeyTarget};

pub(crate) use event::ApiKeyHook;
pub(crate) use store::DynApiKeyStore;
pub(crate) use timed::{LastUse, TimedApiKeys};
