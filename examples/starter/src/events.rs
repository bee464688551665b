//! What happens to sessions, in the log: one line each, `event` with a name that does not change.
//!
//! Sessions and users are logged as digests: lines about one of them can be found together, and
//! whoever reads the log can do nothing in their name (OWASP ASVS 5.0 V16.2.5).

use tower_jwt_auth::AuthEvent;

use crate::logging::digest;

/// Logs an event. It runs in the middle of a request: it must not wait for anything.
pub(crate) fn log(event: &AuthEvent<'_>) {
    let (name, session, user) = (
        event.name(),
        event.session_digest(),
        digest(event.subject()),
    );
    match event {
        AuthEvent::SessionOpened { .. } => tracing::info!(event = name, session, user),
        AuthEvent::SessionEnded { reason, .. } => {
            tracing::info!(event = name, session, user, reason = reason.as_str());
        }
        // Two tabs cause this all day long; the metrics count it.
        AuthEvent::RefreshConverged { kind, run, .. } => {
            tracing::debug!(event = name, session, user, kind = kind.as_str(), run);
        }
        // Somebody may have stolen a token, or the database has lost writes.
        _ => tracing::warn!(event = name, session, user),
    }
}
