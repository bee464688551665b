//! `POST /auth/password/change`: for who is logged in and knows the present password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tower_jwt_auth::VerifiedToken;
use tower_jwt_auth::error::AuthErrorKind;
use tower_jwt_auth::AuthError;

use crate::App;
use crate::attempts::Source;
use crate::finish::finish;
use crate::letters::Letter;
use crate::problem::Problem;

#[derive(Deserialize)]
pub(super) struct Request {
    current_password: String,
    new_password: String,
}

/// The other sessions end: whoever changes a password may do so because somebody else has it.
pub(super) async fn change(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<Request>,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    let user = app.users.active(subject).await?;
    let user = user.ok_or(AuthError::new(AuthErrorKind::Revoked))?;
    // Who is logged in is judged by what happens in this session alone.
    let session = Source::Session(token.session_id().unwrap_or_default());
    let attempt = app.attempts.begin(&user.email, session).await?;
    let right = app.verify_password(&request.current_password, Some(&user));
    if !right.await?.is_match() {
        let detail = "The current password is wrong.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong_password", detail));
    }
    attempt.succeeded().await?;
    app.check_new_password(&request.new_password, user.owner())
        .await?;
    let hash = app.passwords.hash(&request.new_password).await?;
    finish(async move {
        if !app.users.replace_hash(&user, &hash).await? {
            let detail = "The password was changed by somebody else just now.";
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
        tracing::info!(event = "password_changed", user = user.id);
        app.outbox.post(Letter::PasswordChanged(user.address()));
        match token.session_id() {
            Some(session) => {
                app.tokens.end_other_sessions(&user.id, session).await?;
            }
            None => app.tokens.revoke_subject(&user.id).await?,
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
