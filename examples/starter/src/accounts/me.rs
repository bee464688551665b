//! `GET /me`: who the token is for.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::sessions::Caller;

#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    sub: String,
    email: String,
    email_verified: bool,
    /// Those of the token: what this request may do.
    scopes: Vec<String>,
}

/// The token says who; the database says that there still is such a user.
#[utoipa::path(
    get,
    path = "/me",
    tag = "accounts",
    responses((status = 200, description = "Who the token is for", body = Me)),
    security(("bearer" = []))
)]
pub(super) async fn me(Caller { user, token }: Caller) -> Json<Me> {
    Json(Me {
        sub: user.id,
        email: user.email,
        email_verified: user.email_verified,
        scopes: token.scopes().map(str::to_owned).collect(),
    })
}
