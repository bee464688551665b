//! The log: lines for people, or JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::panic;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tracing_subscriber::EnvFilter;

use super::log_lines::LogLines;
use crate::config::variable;
use crate::error::Error;

/// The crate logs its events too; those of the service tell the user's digest as well.
const LOGGED: &str = concat!(
    "info,tower_jwt_auth::event=off",
    // It logs as errors what is a mistake of the client.
    ",webauthn_rs_core=off", // chapter: passkeys
);

/// The log while the program runs; dropped, it writes what still waits.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(LogLines);

impl Drop for Log {
    fn drop(&mut self) {
        LogLines::flush(&self.0);
    }
}

/// Writes a line for the operator to standard error, if that is possible: `eprintln!` panics where
/// it is not.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Starts to log to standard error, as `RUST_LOG` and `LOG_FORMAT` say. Panics are logged too.
///
/// # Errors
///
/// Fails if a variable is malformed, or if the system starts no thread.
pub fn start_log() -> Result<Log, Error> {
    let filter = match variable("RUST_LOG")? {
        Some(filter) => EnvFilter::try_new(filter)
            .map_err(|error| format!("RUST_LOG cannot be understood: {error}"))?,
        None => EnvFilter::new(LOGGED),
    };
    let lines = LogLines::start(io::stderr())?;
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would report them by `eprintln!`, which panics if it fails as well.
        .log_internal_errors(false)
        .with_writer(move || writer.clone());
    match variable("LOG_FORMAT")?.as_deref() {
        None | Some("text") => log.with_ansi(io::stderr().is_terminal()).init(),
        // One object a line, with the request in `span`.
        Some("json") => log.json().flatten_event(true).with_span_list(false).init(),
        Some(_) => return Err("LOG_FORMAT must be text or json".into()),
    }
    panic::set_hook(Box::new(
        |panic| tracing::error!(%panic, "a task has panicked"),
    ));
    Ok(Log(lines))
}

/// What the log says in place of the id of a user: the beginning of its SHA-256. The same user has
/// the same one in every line, and the log is of no use to who does not know the id.
pub(crate) fn digest(id: &str) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(id));
    format!("#{}", &digest[..12])
}
