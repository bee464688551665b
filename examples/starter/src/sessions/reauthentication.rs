//! [`Reauthentication`]: the password once more, before something that a stolen token must not do
//! (OWASP ASVS 5.0 V7.5.1).

use axum::http::StatusCode;

use super::Caller;
use crate::limits::Attempts;
use crate::operations::events;
use crate::passwords::Passwords;
use crate::problem::Problem;

/// Asks a user who is logged in for the password.
#[derive(Debug, Clone)]
pub(crate) struct Reauthentication {
    pub(crate) attempts: Attempts,
    pub(crate) passwords: Passwords,
}

// === impl Reauthentication ===

impl Reauthentication {
    /// Refuses a wrong password. Tries are counted for this session alone.
    pub(crate) async fn check(&self, caller: &Caller, password: &str) -> Result<(), Problem> {
        let user = &caller.user;
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
}
