//! What happens to sessions, in the log: one line each, `event` with a name that does not change.

use tower_jwt_auth::AuthEvent;

/// Logs an event. It runs in the middle of a request: it must not wait for anything.
pub(crate) fn log(event: &AuthEvent<'_>) {
    let (name, session) = (event.name(), event.session());
    match event {
        AuthEvent::SessionOpened { subject, .. } => {
            tracing::info!(event = name, session, user = subject);
        }
        AuthEvent::SessionEnded { reason, .. } => {
            tracing::info!(event = name, session, reason = reason.as_str());
        }
        // Somebody may have stolen a token, or the database lost what it had written.
        AuthEvent::RefreshReuseDetected { subject, .. }
        | AuthEvent::RefreshStoreRewound { subject, .. } => {
            tracing::warn!(event = name, session, user = subject);
        }
        _ => tracing::warn!(event = name, session),
    }
}
