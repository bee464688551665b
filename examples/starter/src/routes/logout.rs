//! `POST /auth/logout` and `POST /auth/logout-all`: the end of one session, or of all.

use axum::extract::State;
use axum::http::StatusCode;
use tower_jwt_auth::VerifiedToken;

use crate::App;
use crate::problem::Problem;

/// Ends the session of the access token: this token, its refresh token, and what followed from it.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "sessions",
    responses((status = 204, description = "The session is over")),
    security(("bearer" = []))
)]
pub(crate) async fn logout(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    match token.session_id() {
        Some(session) => app.tokens.revoke_session(session).await?,
        None => app.tokens.revoke(&token).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the user. A login afterwards is good at once.
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    tag = "sessions",
    responses((status = 204, description = "All sessions are over")),
    security(("bearer" = []))
)]
pub(crate) async fn logout_all(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    app.tokens.revoke_subject(subject).await?;
    Ok(StatusCode::NO_CONTENT)
}
