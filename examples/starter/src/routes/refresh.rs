//! `POST /auth/refresh`: a refresh token for the next pair.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use tower_jwt_auth::issuer::TokenPair;
use utoipa::ToSchema;

use crate::App;
use crate::openapi::Tokens;
use crate::problem::Problem;
use crate::typed::trimmed;
use crate::web::client_mark;

#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh)]
pub(crate) struct Request {
    refresh_token: String,
}

/// A request that is dropped, or fails, leaves the session in order: the client comes back with
/// the token that it has, and gets the next pair.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "sessions",
    request_body = Request,
    responses((status = 200, description = "The next pair of tokens", body = Tokens))
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Json<TokenPair>, Problem> {
    let refresh = app
        .sessions
        .refresh(trimmed(&request.refresh_token))
        .await?;
    let Some(user) = app.users.active(refresh.subject()).await? else {
        // Runs to its end once it has begun, whether or not the client waits for it.
        app.sessions.end(refresh.session_id()).await?;
        return Err(Problem::invalid_grant());
    };
    // What the user may still do of what the login allowed. More takes a new login.
    let granted = refresh.granted_scopes().iter();
    let retained: Vec<_> = granted
        .filter(|scope| user.has_scope(scope))
        .cloned()
        .collect();
    // These take the place of the login's; its other claims, such as `amr`, stay.
    let claims = json!({ "email": user.email, "email_verified": user.email_verified });
    let refreshed = refresh
        .claims(claims)
        .scopes(retained)
        .client(client_mark(&headers))
        .issue()
        .await?;
    Ok(Json(refreshed.tokens))
}
