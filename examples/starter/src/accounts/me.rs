//! `GET /me`: the user that a token belongs to.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::sessions::Caller;

#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    sub: String,
    email: String,
    email_verified: bool,
    /// The scopes of the token, which limit what this request may do.
    scopes: Vec<String>,
}

/// Returns the user that the token belongs to.
#[utoipa::path(
    get,
    path = "/me",
    tag = "accounts",
    responses((status = 200, description = "The user", body = Me)),
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
