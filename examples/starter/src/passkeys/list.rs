//! `/auth/passkeys`: the passkeys of a user, their names, and their removal.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::proof::FreshProof;
use super::table::{Listed, Removed};
use super::{Passkeys, notices};
use crate::finish::finish;
use crate::operations::digest;
use crate::problem::Problem;
use crate::sessions::Caller;
use crate::typed::{PathId, normalized, trimmed};

/// How long the name of a passkey may be, in characters.
const MAX_LABEL_CHARS: usize = 60;

#[derive(Serialize, ToSchema)]
#[schema(as = Passkeys)]
pub(super) struct List {
    /// The oldest comes first.
    passkeys: Vec<Listed>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyName)]
pub(super) struct Name {
    /// At most 60 characters.
    label: String,
}

/// Lists the passkeys of the user.
#[utoipa::path(
    get,
    operation_id = "list_passkeys",
    path = "/auth/passkeys",
    tag = "passkeys",
    responses((status = 200, description = "The passkeys of the user", body = List)),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(passkeys): State<Passkeys>,
    caller: Caller,
) -> Result<Json<List>, Problem> {
    passkeys.relying_party()?;
    let passkeys = passkeys.table.list(&caller.user.id).await?;
    Ok(Json(List { passkeys }))
}

/// Renames a passkey.
///
/// An id of another user is refused like an unknown one.
#[utoipa::path(
    put,
    operation_id = "rename_passkey",
    path = "/auth/passkeys/{id}",
    tag = "passkeys",
    params(("id" = String, Path, description = "The id from the list")),
    request_body = Name,
    responses((status = 204, description = "Renamed")),
    security(("bearer" = []))
)]
pub(super) async fn rename(
    State(passkeys): State<Passkeys>,
    id: PathId,
    caller: Caller,
    Json(name): Json<Name>,
) -> Result<StatusCode, Problem> {
    let label = label(&name.label)?;
    let user = &caller.user.id;
    if !passkeys.table.rename(user, id.as_str(), &label).await? {
        return Err(not_found());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a passkey after a fresh proof, but not the last way to log in.
///
/// The owner is told by email.
#[utoipa::path(
    post,
    operation_id = "remove_passkey",
    path = "/auth/passkeys/{id}/remove",
    tag = "passkeys",
    params(("id" = String, Path, description = "The id from the list")),
    request_body = FreshProof,
    responses((status = 204, description = "Removed")),
    security(("bearer" = []))
)]
pub(super) async fn remove(
    State(passkeys): State<Passkeys>,
    id: PathId,
    caller: Caller,
    Json(proof): Json<FreshProof>,
) -> Result<StatusCode, Problem> {
    passkeys.reauthenticate(&caller, &proof).await?;
    let user = caller.user;
    finish(async move {
        match passkeys.table.remove(&user.id, id.as_str()).await? {
            Removed::Yes => {
                tracing::info!(event = "passkey_removed", user = digest(&user.id));
                passkeys.notify(&user, notices::REMOVED);
                Ok(StatusCode::NO_CONTENT)
            }
            Removed::NotFound => Err(not_found()),
            Removed::LastLogin => {
                let detail = "This is the last way to log in to the account. Add another passkey, or set a \
                              password first.";
                Err(Problem::new(StatusCode::CONFLICT, "last_login", detail))
            }
            // chapter: second-factor {
            Removed::SecondFactor => {
                let detail = "Logins ask for a passkey after the password, and this is the last one. Turn \
                              the second factor off first, or add another passkey.";
                Err(Problem::new(StatusCode::CONFLICT, "last_second_factor", detail))
            } // chapter: second-factor }
        }
    })
    .await
}

/// Checks and trims the name of a passkey.
pub(super) fn label(typed: &str) -> Result<String, Problem> {
    let label = normalized(trimmed(typed));
    let length = label.chars().count();
    if length == 0 || length > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
        let detail =
            "The name of a passkey must have 1 to 60 characters, and no control characters.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_label", detail));
    }
    Ok(label.into_owned())
}

fn not_found() -> Problem {
    let detail = "You have no passkey with this id.";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}
