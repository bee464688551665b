//! `POST /auth/password/change`: for users who are logged in and know the current password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::password_changes::PasswordChanges;
use crate::finish::finish;
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange)]
pub(super) struct Request {
    current_password: String,
    new_password: String,
}

/// Changes the password of the user.
///
/// The other sessions end, because somebody else may have known the old password.
#[utoipa::path(
    post,
    operation_id = "change_password",
    path = "/auth/password/change",
    tag = "passwords",
    request_body = Request,
    responses((status = 204, description = "Changed; the other sessions have ended")),
    security(("bearer" = []))
)]
pub(super) async fn change(
    State(changes): State<PasswordChanges>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<Request>,
) -> Result<StatusCode, Problem> {
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    let hash = changes.hash(&caller.user, &request.new_password).await?;
    finish(async move {
        let user = &caller.user;
        if !changes.users.change_password(user, &hash).await? {
            let detail = "The password was changed elsewhere at the same time. Log in again.";
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
        changes.made(user, "password_changed").await?;
        let sessions = &changes.sessions;
        sessions.end_others(&user.id, caller.session()).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
