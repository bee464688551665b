//! Sessions: a session begins at login, is kept alive by refresh tokens, and ends at logout.
//!
//! A store keeps one row for each session and never a token. Each refresh token names its session
//! and a generation. A refresh moves the session to the next generation, in one atomic step:
//!
//! - A client whose response was lost, or that refreshes from two tabs at once, gets the *same*
//!   next token again. The rotation converges, and honest clients stay logged in.
//! - If a token of an older generation is used, either it or its successor was stolen: the whole
//!   session ends.
//!
//! [The guide](crate::guide::sessions) says who is logged out and who is not.

mod bound;
mod builder;
mod clean_up;
mod end;
mod error;
mod open;
mod refresh;
pub(crate) mod service;
mod tokens;

pub use crate::clean_up::CleanUpTask;
pub use crate::event::SessionEvent;
#[cfg(feature = "postgres")]
pub use crate::session::PostgresSessions;
#[cfg(feature = "redis")]
pub use crate::session::RedisSessions;
#[cfg(feature = "sqlite")]
pub use crate::session::SqliteSessions;
pub use crate::session::{
    Converged, CreateOutcome, EndReason, EndSessions, EndedSession, MemorySessions, Rotation,
    RotationOutcome, Session, SessionLimit, SessionRecord, SessionStore, SessionTarget,
    UnknownEndReason, WhenFull,
};
pub use builder::{
    DEFAULT_IDLE_TTL, DEFAULT_LOST_RESPONSE_GRACE, DEFAULT_MAX_LOST_RESPONSES,
    DEFAULT_ROTATION_GRACE, MAX_LOST_RESPONSE_GRACE, MAX_ROTATION_GRACE, SessionsBuilder,
};
pub use clean_up::CLOCK_SLACK;
pub use error::{SessionError, SessionErrorKind};
pub use open::OpenSession;
pub use refresh::{RefreshSession, Refreshed};
pub use service::MAX_CONCURRENT_CALLS;
pub(crate) use service::Sessions;

use service::Inner;
