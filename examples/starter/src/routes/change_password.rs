//! `POST /auth/password/change`: for who is logged in and knows the present password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tower_jwt_auth::{AuthError, AuthErrorKind, VerifiedToken};
use utoipa::ToSchema;

use crate::attempts::Source;
use crate::finish::finish;
use crate::letters::Letter;
use crate::logging::digest;
use crate::problem::Problem;
use crate::{App, User, events};

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange)]
pub(crate) struct Request {
    current_password: String,
    new_password: String,
}

/// The other sessions end: whoever changes a password may do so because somebody else has it.
#[utoipa::path(
    post,
    operation_id = "change_password",
    path = "/auth/password/change",
    tag = "passwords",
    request_body = Request,
    responses((status = 204, description = "Changed; the other sessions are over")),
    security(("bearer" = []))
)]
pub(crate) async fn change(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<Request>,
) -> Result<StatusCode, Problem> {
    let user = app.user_of(&token).await?;
    app.prove(&user, &token, &request.current_password).await?;
    app.check_new_password_of(&user, &request.new_password)
        .await?;
    let hash = app.passwords.hash(&request.new_password).await?;
    finish(async move {
        if !app.users.change_password(&user, &hash).await? {
            let detail = "The password was changed by somebody else just now.";
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
        tracing::info!(event = "password_changed", user = digest(&user.id));
        app.attempts.new_password(&user).await?;
        app.outbox.post(Letter::PasswordChanged(user.address()));
        let session = token.session_id().unwrap_or_default();
        app.sessions.end_others(&user.id, session).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

// === impl App ===

impl App {
    /// Whose token it is; nobody's, if the user is gone or disabled.
    pub(super) async fn user_of(&self, token: &VerifiedToken) -> Result<User, Problem> {
        let subject = token.subject().unwrap_or_default();
        let user = self.users.active(subject).await?;
        Ok(user.ok_or(AuthError::new(AuthErrorKind::Revoked))?)
    }

    /// Who is logged in is judged by what happens in this session alone.
    pub(super) fn session_of<'a>(&self, token: &'a VerifiedToken) -> Source<'a> {
        Source::Session(token.session_id().unwrap_or_default())
    }

    /// Asks for the password once more, before something that a stolen token must not do.
    pub(super) async fn prove(
        &self,
        user: &User,
        token: &VerifiedToken,
        password: &str,
    ) -> Result<(), Problem> {
        let attempt = self.attempts.begin(&user.email, self.session_of(token));
        let attempt = attempt.await?;
        if !self.verify_password(password, Some(user)).await?.is_match() {
            events::password_refused(user, token.session_id().unwrap_or_default());
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
