//! Refresh sessions: one row per login, whose refresh token is traded for a new one at each use.
//!
//! A store keeps sessions and never a token. Each refresh token names its session and a
//! generation; a rotation moves the session to the next generation, in one conditional step:
//!
//! - A client whose answer was lost, or that refreshes from two tabs at once, gets the *same*
//!   next token again: rotation converges, and honest clients are never logged out.
//! - A token of an older generation than that is a stolen one, or its original: the whole
//!   session ends.
//!
//! See [the guide](crate::_guide::sessions).

mod acknowledge;
mod memory;
mod record;
mod rotation;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store;

pub use memory::MemorySessions;
pub use record::{EndReason, Session, SessionRecord};
pub use rotation::{Converged, Rotation, RotationOutcome};
#[cfg(feature = "postgres")]
pub use sql::PostgresSessions;
#[cfg(feature = "sqlite")]
pub use sql::SqliteSessions;
pub use store::{Created, SessionLimit, SessionStore, SessionTarget, WhenFull};

pub(crate) use acknowledge::Acknowledger;
pub(crate) use store::DynSessionStore;
