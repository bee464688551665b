//! What every request and response passes: request ids, the log, security headers, CORS, and limits of
//! rate, size and time.
//!
//! Needs the limits and the sessions. Cannot be removed.

mod cors;
mod headers;
mod host;
mod observe;
mod protect;
mod request_id;

pub(crate) use cors::cors;
pub(crate) use observe::{observe, observe_and_protect};
pub(crate) use protect::protect;
