//! [`Reauthentication`]: asks for the password again before something that a stolen token must not do
//! (OWASP ASVS 5.0 V7.5.1). For an account without a password, a recent login is enough.

use std::time::Duration;

use axum::http::StatusCode;
use tower_jwt_auth::Require;

use super::Caller;
use crate::limits::Attempts;
use crate::operations::events;
use crate::passwords::Passwords;
use crate::problem::Problem;

/// The maximum age of a login that takes the place of the password: ten minutes.
const RECENT: Duration = Duration::from_secs(600);

/// Asks a user who is logged in for the password.
#[derive(Debug, Clone)]
pub(crate) struct Reauthentication {
    pub(crate) attempts: Attempts,
    pub(crate) passwords: Passwords,
}

// === impl Reauthentication ===

impl Reauthentication {
    /// Refuses a wrong password. Only attempts in this session count. For a user without a password,
    /// refuses a login that is too old, with a challenge for a new one (RFC 9470).
    pub(crate) async fn check(&self, caller: &Caller, password: &str) -> Result<(), Problem> {
        let user = &caller.user;
        if !user.has_password() {
            return Self::check_recent_login(caller);
        }
        let attempt = self.attempts.begin(&user.email, caller.source()).await?;
        let verified = self.passwords.verify_user(password, Some(user)).await?;
        if !verified.is_match() {
            events::password_refused(user, caller.session());
            let detail = "The current password is wrong.";
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "wrong_password",
                detail,
            ));
        }
        Ok(attempt.succeeded().await?)
    }

    /// Refuses a login that is more than ten minutes old, with a challenge for a new one (RFC 9470).
    pub(crate) fn check_recent_login(caller: &Caller) -> Result<(), Problem> {
        Ok(caller.token.require(&Require::recent_login(RECENT))?)
    }
}
