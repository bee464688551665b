//! Events of logins and sessions in the log. Each is one line, whose `event` is a stable name (OWASP ASVS
//! 5.0 V16.3.1). `docs/production.md` lists them.
//!
//! Sessions and users are logged as digests. So lines about one of them can be found together, but whoever
//! reads the log cannot act in their name (OWASP ASVS 5.0 V16.2.5).

use tower_jwt_auth::sessions::SessionEvent;

use super::logging::digest;
use crate::accounts::User;
use crate::limits::ClientIp;
use crate::second_factor::Method; // chapter: second-factor

/// Logs an event. It runs in the middle of a request, so it must not wait for anything.
pub(crate) fn log(event: &SessionEvent<'_>) {
    let (name, session, user) = (
        event.name(),
        event.session_digest(),
        digest(event.subject()),
    );
    match event {
        SessionEvent::SessionOpened { .. } => tracing::info!(event = name, session, user),
        SessionEvent::SessionEnded { reason, .. } => {
            tracing::info!(event = name, session, user, reason = reason.as_str());
        }
        // Two tabs cause this all the time. The metrics count it.
        SessionEvent::RefreshConverged { kind, run, .. } => {
            tracing::debug!(event = name, session, user, kind = kind.as_str(), run);
        }
        // Somebody may have stolen a token, or the database has lost writes.
        _ => tracing::warn!(event = name, session, user),
    }
}

/// Logs a refused login. `account` is what the client calls the account, which need not exist.
pub(crate) fn login_failed(account: &str, user: Option<&User>, client: ClientIp, reason: &str) {
    let (ClientIp(ip), user) = (client, user.map(|user| digest(&user.id)));
    let account = digest(account);
    tracing::info!(event = "login_failed", account, user, %ip, reason);
}

/// Logs a login, with the methods that proved it (RFC 8176).
pub(crate) fn login_succeeded(user: &User, client: ClientIp, amr: &[&str]) {
    let (ClientIp(ip), account) = (client, digest(&user.email));
    let (user, amr) = (digest(&user.id), amr.join(" "));
    tracing::info!(event = "login_succeeded", account, user, %ip, amr);
}

// chapter: second-factor {
/// Logs a code that was refused after a right password: somebody else may know that password.
pub(crate) fn code_refused(user: &User, client: ClientIp, method: Method, reason: &str) {
    let (ClientIp(ip), account) = (client, digest(&user.email));
    let (user, method) = (digest(&user.id), method.name());
    tracing::warn!(event = "second_factor_failed", account, user, %ip, method, reason);
}

/// Logs a challenge that is unknown or has ended. Its user is not known.
pub(crate) fn challenge_refused(client: ClientIp) {
    let ClientIp(ip) = client;
    tracing::info!(event = "challenge_refused", %ip);
}
// chapter: second-factor }

/// Logs a wrong password in a session, before something that a stolen token must not do.
pub(crate) fn password_refused(user: &User, session: &str) {
    let (account, user) = (digest(&user.email), digest(&user.id));
    let session = digest(session);
    tracing::warn!(event = "password_check_failed", account, user, session);
}

// chapter: second-factor {
/// Logs a wrong code in a session.
pub(crate) fn code_refused_in(user: &User, session: &str, method: Method) {
    let (account, user) = (digest(&user.email), digest(&user.id));
    let (session, method) = (digest(session), method.name());
    tracing::warn!(
        event = "second_factor_failed",
        account,
        user,
        session,
        method
    );
}
// chapter: second-factor }

/// Logs a link that is unknown, used or expired.
pub(crate) fn link_refused(client: ClientIp, purpose: &str) {
    let ClientIp(ip) = client;
    tracing::info!(event = "link_refused", %ip, purpose);
}
