//! `POST /auth/password/set`: a first password for an account without one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::accounts::PasswordChanges;
use crate::finish::finish;
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};

#[derive(Deserialize, ToSchema)]
pub(super) struct NewPassword {
    new_password: String,
}

/// Sets the first password of an account that has none.
///
/// It takes a login that is at most ten minutes old. Users without one can use a link by email instead
/// (`POST /auth/password/forgot`).
#[utoipa::path(
    post,
    operation_id = "set_password",
    path = "/auth/password/set",
    tag = "passwords",
    request_body = NewPassword,
    responses((status = 204, description = "Set; the other sessions have ended")),
    security(("bearer" = []))
)]
pub(super) async fn set(
    State(changes): State<PasswordChanges>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    if caller.user.has_password() {
        return Err(there_is_one());
    }
    reauthentication.check(&caller, "").await?;
    let hash = changes.hash(&caller.user, &request.new_password).await?;
    finish(async move {
        let user = &caller.user;
        if !changes.users.change_password(user, &hash).await? {
            return Err(there_is_one());
        }
        changes.made(user, "password_set").await?;
        let sessions = &changes.sessions;
        sessions.end_others(&user.id, caller.session()).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn there_is_one() -> Problem {
    let detail = "The account already has a password. Change it with `POST /auth/password/change`.";
    Problem::new(StatusCode::CONFLICT, "password_exists", detail)
}
