//! `GET /me` and `GET /admin`: what a token is good for.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tower_jwt_auth::{AuthError, AuthErrorKind, VerifiedToken};
use utoipa::ToSchema;

use crate::App;
use crate::problem::Problem;
use crate::users::Admin;

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    sub: String,
    email: String,
    email_verified: bool,
    /// Those of the token: what this request may do.
    scopes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Overview {
    users: i64,
}

/// The token says who; the database says that there still is such a user.
#[utoipa::path(
    get,
    path = "/me",
    tag = "accounts",
    responses((status = 200, description = "Who the token is for", body = Me)),
    security(("bearer" = []))
)]
pub(crate) async fn me(State(app): State<App>, token: VerifiedToken) -> Result<Json<Me>, Problem> {
    let subject = token.subject().unwrap_or_default();
    let user = app
        .users
        .active(subject)
        .await?
        .ok_or(AuthError::new(AuthErrorKind::Revoked))?;
    Ok(Json(Me {
        sub: user.id,
        email: user.email,
        email_verified: user.email_verified,
        scopes: token.scopes().map(str::to_owned).collect(),
    }))
}

/// The guard in front has seen that the token allows this.
#[utoipa::path(
    get,
    path = "/admin",
    tag = "accounts",
    responses((status = 200, description = "An overview", body = Overview)),
    security(("bearer" = [Admin::NAME]))
)]
pub(crate) async fn admin(State(app): State<App>) -> Result<Json<Overview>, Problem> {
    let users = app.users.count().await?;
    Ok(Json(Overview { users }))
}
