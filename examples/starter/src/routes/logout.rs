//! `POST /auth/logout`: ends the session of the access token that is presented.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tower_jwt_auth::VerifiedToken;

use crate::App;
use crate::problem::Problem;

#[derive(Deserialize)]
pub(super) struct Request {
    refresh_token: Option<String>,
}

pub(super) async fn logout(
    State(app): State<App>,
    token: VerifiedToken,
    request: Option<Json<Request>>,
) -> Result<StatusCode, Problem> {
    // The access token goes last: until then the client can come back and try again.
    if let Some(refresh) = request.and_then(|Json(request)| request.refresh_token) {
        revoke_refresh_token(&app, &token, &refresh).await?;
    }
    match token.session_id() {
        // All of the login: this token, its refresh token, and whatever followed from them.
        Some(session) => app.tokens.revoke_session(session).await?,
        None => app.tokens.revoke(&token).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes a refresh token of the same user, which may be of another session. One that is no
/// longer good needs no revocation (RFC 7009 section 2.2).
async fn revoke_refresh_token(
    app: &App,
    access: &VerifiedToken,
    refresh: &str,
) -> Result<(), Problem> {
    match app.tokens.refresh_verifier().verify(refresh).await {
        Ok(refresh) if refresh.subject() == access.subject() => {
            Ok(app.tokens.revoke(&refresh).await?)
        }
        Err(error) if error.status().is_server_error() => Err(error.into()),
        _ => Ok(()),
    }
}
