//! Session records, the rotation of their refresh tokens, and the stores that keep them.

mod memory;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod rotation;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store;
mod timed;

#[cfg(feature = "redis")]
pub use self::redis::RedisSessions;
pub use memory::MemorySessions;
pub use record::{EndReason, EndedSession, Session, SessionRecord, UnknownEndReason};
pub use rotation::{Converged, Rotation, RotationOutcome};
#[cfg(feature = "postgres")]
pub use sql::PostgresSessions;
#[cfg(feature = "sqlite")]
pub use sql::SqliteSessions;
pub use store::{CreateOutcome, EndSessions, SessionLimit, SessionStore, SessionTarget, WhenFull};

pub(crate) use store::DynSessionStore;
pub(crate) use timed::{Acknowledger, AcknowledgerSlot, TimedStore};
