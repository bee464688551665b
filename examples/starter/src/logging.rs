//! The log: lines for people, or JSON for programs.

use std::io::{self, IsTerminal};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tracing_subscriber::EnvFilter;

use crate::Error;
use crate::variables::variable;

/// The crate logs its events too; those of the service tell the user's digest as well.
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

/// What the log says in place of the id of a user: the beginning of its SHA-256. The same user has
/// the same one in every line, and the log is of no use to who does not know the id.
pub(crate) fn digest(id: &str) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(id));
    format!("#{}", &digest[..12])
}
