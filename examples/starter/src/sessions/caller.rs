//! [`Caller`]: the user who sent the request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tower_jwt_auth::{AuthError, AuthErrorKind, VerifiedToken};

use crate::accounts::User;
use crate::app::App;
use crate::limits::Source;
use crate::problem::Problem;

/// The user whose access token came with the request. The token names the user, and the database confirms
/// that the user still exists and is not disabled.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token: VerifiedToken,
}

// === impl Caller ===

impl Caller {
    /// Returns the id of the session that the token belongs to, or an empty one.
    pub(crate) fn session(&self) -> &str {
        self.token.session_id().unwrap_or_default()
    }

    /// Returns where attempts at passwords and codes come from. For a user who is logged in, only this
    /// session counts.
    pub(crate) fn source(&self) -> Source<'_> {
        Source::Session(self.session())
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = VerifiedToken::from_request_parts(parts, app).await?;
        let subject = token.subject().unwrap_or_default();
        let user = app.parts().users.caller(subject).await?;
        let user = user.ok_or(AuthError::new(AuthErrorKind::Revoked))?;
        Ok(Self { user, token })
    }
}
