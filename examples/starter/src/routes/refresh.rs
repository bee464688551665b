//! `POST /auth/refresh`: a refresh token for the next pair.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use tower_jwt_auth::TokenPair;
use utoipa::ToSchema;

use crate::App;
use crate::openapi::Tokens;
use crate::problem::Problem;

#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh)]
pub(crate) struct Request {
    refresh_token: String,
}

/// A request that is cut off, or fails, after the rotation costs nothing: the client comes back
/// with the token that it has, and gets what it would have got.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "sessions",
    request_body = Request,
    responses((status = 200, description = "The next pair of tokens", body = Tokens))
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    Json(request): Json<Request>,
) -> Result<Json<TokenPair>, Problem> {
    let rotated = app.tokens.rotate(&request.refresh_token).await?;
    let session = rotated.session();
    let Some(user) = app.users.active(&session.subject).await? else {
        app.tokens.revoke_session(&session.id).await?;
        return Err(Problem::invalid_grant());
    };
    // What the user may still do of what the login allowed. More takes a new login.
    let mut scopes = rotated.scopes().to_vec();
    scopes.retain(|scope| user.has_scope(scope));
    let claims = json!({
        "email": user.email,
        "email_verified": user.email_verified,
        "amr": rotated.custom_claims().get("amr"),
    });
    Ok(Json(rotated.claims(claims).narrow(scopes).issue()?))
}
