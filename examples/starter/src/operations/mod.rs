//! Operations: the log and its events, the health checks, and the description of the API.
//!
//! Cannot be removed.

pub(crate) mod events;
pub(crate) mod health;
mod log_fields;
mod log_lines;
mod logging;
pub(crate) mod openapi;

pub(crate) use health::Readiness;
pub(crate) use logging::digest;
pub use logging::{Log, say, start_log};
