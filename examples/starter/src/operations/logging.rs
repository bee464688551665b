//! The log: text for people, or JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::panic;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_fields::PlainFields;
use super::log_lines::LogLines;
use crate::config::variable;
use crate::error::Error;

/// The crate logs its own events as well. Those of the service contain the digest of the user in addition.
const LOGGED: &str = concat!(
    "info,tower_jwt_auth::event=off",
    // This crate logs client mistakes as errors.
    ",webauthn_rs_core=off", // chapter: passkeys
);

/// The log, for as long as the program runs. When dropped, it writes the lines that still wait.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(LogLines);

impl Drop for Log {
    fn drop(&mut self) {
        LogLines::flush(&self.0);
    }
}

/// Prints a line for the operator to standard error if possible. `eprintln!` panics if it is not.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Starts the log to standard error, as `RUST_LOG` and `LOG_FORMAT` say. Panics are logged too.
///
/// # Errors
///
/// Fails if a variable is malformed, or if the operating system cannot start a thread.
pub fn start_log() -> Result<Log, Error> {
    // `EnvFilter`, which looks at the fields of spans as well, costs every request a tenth of its time.
    let filter = variable("RUST_LOG")?;
    let filter: Targets = filter
        .as_deref()
        .unwrap_or(LOGGED)
        .parse()
        .map_err(|error| format!("RUST_LOG is malformed: {error}"))?;
    let lines = LogLines::start(io::stderr())?;
    let writer = lines.clone();
    let log = tracing_subscriber::registry().with(filter);
    // Internal errors would be reported by `eprintln!`, which panics if it fails as well.
    let layer = layer()
        .log_internal_errors(false)
        .with_writer(move || writer.clone());
    match variable("LOG_FORMAT")?.as_deref() {
        None | Some("text") => {
            let is_terminal = io::stderr().is_terminal();
            let layer = layer.with_ansi(is_terminal).fmt_fields(PlainFields);
            log.with(layer).init();
        }
        // One object per line, with the request in `span`.
        Some("json") => {
            let layer = layer.json().flatten_event(true).with_span_list(false);
            log.with(layer).init();
        }
        Some(_) => return Err("LOG_FORMAT must be text or json".into()),
    }
    panic::set_hook(Box::new(
        |panic| tracing::error!(%panic, "a task has panicked"),
    ));
    Ok(Log(lines))
}

/// Returns what the log says in place of a user's id: the beginning of its SHA-256. It is the same in every
/// line about that user, but useless to whoever does not know the id.
pub(crate) fn digest(id: &str) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(id));
    format!("#{}", &digest[..12])
}
