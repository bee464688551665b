//! The log: lines for people, or JSON for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::Error;
use crate::variables::variable;

/// The crate logs its events too; those of the service name the user as well.
const LOGGED: &str = "info,tower_jwt_auth::event=off";

/// Starts to log to standard error, as `RUST_LOG` and `LOG_FORMAT` say.
///
/// # Errors
///
/// A variable that cannot be meant.
pub fn start_log() -> Result<(), Error> {
    let filter = match variable("RUST_LOG")? {
        Some(filter) => EnvFilter::try_new(filter)
            .map_err(|error| format!("RUST_LOG cannot be understood: {error}"))?,
        None => EnvFilter::new(LOGGED),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match variable("LOG_FORMAT")?.as_deref() {
        None | Some("text") => log.with_ansi(io::stderr().is_terminal()).init(),
        // One object a line, with the request in `span`.
        Some("json") => log.json().flatten_event(true).with_span_list(false).init(),
        Some(_) => return Err("LOG_FORMAT must be text or json".into()),
    }
    Ok(())
}
