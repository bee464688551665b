//! Tells operators and developers why a request was refused.

#[cfg(any(feature = "tracing", debug_assertions))]
use std::error::Error as StdError;
#[cfg(any(feature = "tracing", debug_assertions))]
use std::fmt;

use crate::error::AuthError;
#[cfg(feature = "tracing")]
use crate::error::AuthErrorKind;

/// Writes an error and its causes in one line.
#[cfg(any(feature = "tracing", debug_assertions))]
struct Causes<'e>(&'e dyn StdError);

/// Reports a refusal. With the feature `tracing`, it is an event. In debug builds, if no subscriber receives
/// events, it is written to standard error, once for each reason.
pub(super) fn refusal(error: &AuthError) {
    #[cfg(feature = "tracing")]
    log(error);
    #[cfg(debug_assertions)]
    on_standard_error(error);
    #[cfg(not(any(feature = "tracing", debug_assertions)))]
    let _ = error;
}

/// Reports that a bad cookie was ignored.
pub(super) fn ignored_cookie(error: &AuthError) {
    #[cfg(feature = "tracing")]
    {
        let kind = error.kind().as_str();
        tracing::debug!(kind, "a bad cookie was ignored: {}", Causes(error));
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Logs mistakes of clients at debug. Outages, faults, and claims that do not fit the handler's type are
/// logged at warn, because the operator or the developer has to act.
#[cfg(feature = "tracing")]
fn log(error: &AuthError) {
    let (kind, reason) = (error.kind().as_str(), error.reason());
    let error_text = Causes(error);
    if error.status().is_server_error() || error.kind() == AuthErrorKind::ClaimsMismatch {
        tracing::warn!(kind, reason, "{error_text}");
    } else {
        tracing::debug!(kind, reason, "{error_text}");
    }
}

#[cfg(debug_assertions)]
fn on_standard_error(error: &AuthError) {
    use std::sync::{Mutex, PoisonError};

    /// The reasons that were reported. There are as many as there are codes, whatever clients send.
    static TOLD: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::ERROR) {
        return; // a subscriber receives the event
    }
    let reason = error.reason();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = !told.contains(&reason);
    if is_new {
        told.push(reason);
    }
    drop(told);
    if is_new {
        #[allow(clippy::print_stderr)]
        // only in debug builds, in which nothing else would report it
        {
            eprintln!("{}", told_once(error));
        }
    }
}

#[cfg(debug_assertions)]
fn told_once(error: &AuthError) -> String {
    format!(
        "tower-jwt-auth: a request was refused with {} ({}): {}\n  \
         Debug builds print this once for each reason. To see every refusal, enable the feature \
         `tracing` and the log level debug. Causes and solutions: \
         https://docs.rs/tower-jwt-auth/latest/tower_jwt_auth/guide/why_401/",
        error.status().as_u16(),
        error.kind().as_str(),
        Causes(error),
    )
}

// === impl Causes ===

#[cfg(any(feature = "tracing", debug_assertions))]
impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use crate::error::AuthError;

    #[test]
    fn the_line_for_developers_names_the_claim_and_the_types() {
        let payload = r#"{"tenant":"4711"}"#;
        let error = serde_json::from_str::<std::collections::BTreeMap<String, u32>>(payload);
        let error = AuthError::claims_mismatch::<u32>(&error.unwrap_err(), payload);
        let line = super::told_once(&error);
        assert!(
            line.starts_with(
                "tower-jwt-auth: a request was refused with 403 (claims_mismatch): the token is \
                 valid, but its claims do not fit the type that the handler reads: `u32`: the claim \
                 `tenant` is a string; expected u32\n"
            ),
            "{line}"
        );
    }
}
