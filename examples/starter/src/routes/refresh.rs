//! `POST /auth/refresh`: a refresh token, once, for the next pair.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tower_jwt_auth::{AuthError, TokenPair};

use super::login::issue;
use crate::App;
use crate::problem::Problem;

#[derive(Deserialize)]
pub(super) struct Request {
    refresh_token: String,
}

pub(super) async fn refresh(
    State(app): State<App>,
    Json(request): Json<Request>,
) -> Result<Json<TokenPair>, Problem> {
    let verifier = app.tokens.refresh_verifier();
    let token = verifier
        .verify(&request.refresh_token)
        .await
        .map_err(refused_by)?;
    let (Some(subject), Some(session)) = (token.subject(), token.session_id()) else {
        return Err(invalid_grant());
    };
    let user = app.users.active(subject).await?.ok_or_else(invalid_grant)?;

    // First all that can fail, then the one step that uses the token up.
    let pair = issue(&app, &user, session)?;
    if !app.used_refresh_tokens.use_up(&token).await? {
        tracing::warn!(user = user.id, "a used refresh token was presented again");
        return Err(invalid_grant());
    }
    Ok(Json(pair))
}

/// An outage stays one; anything else that is wrong with the token is one answer.
fn refused_by(error: AuthError) -> Problem {
    if error.status().is_server_error() {
        return error.into();
    }
    tracing::debug!(kind = error.kind().as_str(), "refresh token refused");
    invalid_grant()
}

/// RFC 6749 section 5.2.
fn invalid_grant() -> Problem {
    let detail = "The refresh token is not valid, or has been used.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_grant", detail)
}
