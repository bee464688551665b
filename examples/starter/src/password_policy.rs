//! Which passwords are good enough.

use axum::http::StatusCode;
use tower_jwt_auth::password::MAX_PASSWORD_BYTES;

use crate::App;
use crate::problem::Problem;

/// The fewest characters of a password that is the only factor (NIST SP 800-63B-4 section
/// 3.1.1.2). There are no rules of composition, as the same section demands.
pub const MIN_PASSWORD_CHARS: usize = 15;

// === impl App ===

impl App {
    /// Refuses a password that is not to be anybody's.
    pub(crate) async fn check_new_password(
        &self,
        password: &str,
        _email: &str,
    ) -> Result<(), Problem> {
        let long_enough = password.chars().count() >= MIN_PASSWORD_CHARS;
        if long_enough && password.len() <= MAX_PASSWORD_BYTES {
            return Ok(());
        }
        let detail = format!(
            "A password has at least {MIN_PASSWORD_CHARS} characters and at most \
             {MAX_PASSWORD_BYTES} bytes; any characters will do."
        );
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Err(Problem::new(status, "invalid_password", detail))
    }
}
