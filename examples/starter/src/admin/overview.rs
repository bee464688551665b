//! `GET /admin`: an overview.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::store::Admin;
use crate::accounts::Users;
use crate::problem::Problem;

#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
    users: i64,
}

/// Returns an overview of the service.
///
/// The guard in front of this handler has checked the scope.
#[utoipa::path(
    get,
    path = "/admin",
    tag = "admin",
    responses((status = 200, description = "An overview", body = Overview)),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn admin(State(users): State<Users>) -> Result<Json<Overview>, Problem> {
    let users = users.count().await?;
    Ok(Json(Overview { users }))
}
