//! `/admin/users`: what admins can do with accounts. An admin cannot choose a password: the owner gets a
//! link (OWASP ASVS 5.0 V6.4.6).

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tower_jwt_auth::{Sessions, VerifiedToken};
use utoipa::{IntoParams, ToSchema};

use super::store::{Admin, Changed, Listed};
use crate::accounts::{User, Users};
use crate::api_keys::UserKeys; // chapter: api-keys
use crate::finish::finish;
use crate::limits::Attempts; // chapter: second-factor
use crate::operations::digest;
use crate::outbox::{Notification, Outbox};
use crate::problem::Problem;
use crate::second_factor::Factors; // chapter: second-factor
use crate::typed::PathId;

const MAX_PAGE: u32 = 200;
const MAX_SCOPES_BYTES: usize = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The address of the last user on the previous page.
    #[serde(default)]
    after: String,
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Users)]
pub(super) struct Page {
    users: Vec<Listed>,
    /// The value of `after` for the next page, or `null` on the last page.
    next: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Scopes {
    scopes: Vec<String>,
}

/// Lists the users by address.
#[utoipa::path(
    get,
    operation_id = "list_users",
    path = "/admin/users",
    tag = "admin",
    params(PageQuery),
    responses((status = 200, description = "A page of users", body = Page)),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn list(
    State(users): State<Users>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page>, Problem> {
    let limit = page.limit.unwrap_or(50).clamp(1, MAX_PAGE);
    // PostgreSQL refuses any value with a NUL.
    if page.after.contains('\0') {
        return Err(unknown());
    }
    let mut listed = users.page(&page.after, limit + 1).await?;
    let more = listed.len() > limit as usize;
    listed.truncate(limit as usize);
    let next = listed
        .last()
        .filter(|_| more)
        .map(|user| user.email.clone());
    Ok(Json(Page {
        users: listed,
        next,
    }))
}

/// Disables a user.
///
/// All sessions and API keys of the user end at once.
#[utoipa::path(
    post,
    operation_id = "disable_user",
    path = "/admin/users/{id}/disable",
    tag = "admin",
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 204, description = "Disabled")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn disable(
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    State(keys): State<UserKeys>, // chapter: api-keys
    id: PathId,
    admin: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = find(&users, &id).await?;
    finish(async move {
        changed(users.disable(&user.id).await?)?;
        // Comes after the change, when no new session can be opened any more. If it fails, the request can
        // be repeated.
        sessions.end_all(&user.id).await?;
        keys.revoke_all(&user.id).await?; // chapter: api-keys
        tracing::info!(
            event = "user_disabled",
            user = digest(&user.id),
            by = admin.subject().map(digest)
        );
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Enables a disabled user.
///
/// What was revoked stays revoked, so the user has to log in again.
#[utoipa::path(
    post,
    operation_id = "enable_user",
    path = "/admin/users/{id}/enable",
    tag = "admin",
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 204, description = "Enabled")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn enable(
    State(users): State<Users>,
    id: PathId,
    admin: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = find(&users, &id).await?;
    users.enable(&user.id).await?;
    tracing::info!(
        event = "user_enabled",
        user = digest(&user.id),
        by = admin.subject().map(digest)
    );
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the scopes of a user.
///
/// If this takes a scope away, the user is logged out everywhere. A new scope takes effect at the next
/// login.
#[utoipa::path(
    put,
    path = "/admin/users/{id}/scopes",
    tag = "admin",
    request_body = Scopes,
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 204, description = "The user has exactly these scopes")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn set_scopes(
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    id: PathId,
    admin: VerifiedToken,
    Json(request): Json<Scopes>,
) -> Result<StatusCode, Problem> {
    let scopes = checked(request.scopes)?;
    let user = find(&users, &id).await?;
    finish(async move {
        changed(users.set_scopes(&user, &scopes).await?)?;
        let kept = |own: &str| scopes.split(' ').any(|scope| scope == own);
        if !user.scopes.split_whitespace().all(kept) {
            sessions.end_all(&user.id).await?;
        }
        tracing::info!(
            event = "scopes_set",
            user = digest(&user.id),
            scopes,
            by = admin.subject().map(digest)
        );
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Ends all sessions of a user (OWASP ASVS 5.0 V7.4.5).
#[utoipa::path(
    post,
    operation_id = "logout_user",
    path = "/admin/users/{id}/logout",
    tag = "admin",
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 204, description = "Logged out everywhere")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn logout(
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    id: PathId,
    admin: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = find(&users, &id).await?;
    sessions.end_all(&user.id).await?;
    tracing::info!(
        event = "user_logged_out",
        user = digest(&user.id),
        by = admin.subject().map(digest)
    );
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the owner of an account a link to choose a new password.
#[utoipa::path(
    post,
    operation_id = "send_reset",
    path = "/admin/users/{id}/password-reset",
    tag = "admin",
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 202, description = "An email is on its way to the owner")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn reset_password(
    State(users): State<Users>,
    State(outbox): State<Outbox>,
    id: PathId,
    admin: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = find(&users, &id).await?;
    outbox.post(Notification::ResetPassword(user.address()));
    tracing::info!(
        event = "reset_started",
        user = digest(&user.id),
        by = admin.subject().map(digest)
    );
    Ok(StatusCode::ACCEPTED)
}

// chapter: second-factor {
/// Removes the second factors of a user who has lost them.
///
/// Before you call this, make sure by other means that the request comes from the owner. All sessions end,
/// and the owner is told by email.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/second-factor",
    operation_id = "remove_second_factor_of_user",
    tag = "admin",
    params(("id" = String, Path, description = "The id of the user")),
    responses((status = 204, description = "Removed; all sessions have ended")),
    security(("bearer" = [Admin::NAME]))
)]
pub(super) async fn remove_second_factor(
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    State(factors): State<Factors>,
    State(attempts): State<Attempts>,
    id: PathId,
    admin: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = find(&users, &id).await?;
    finish(async move {
        factors.turn_off(&user, admin.subject()).await?;
        attempts.forget(&user.second_factor()).await?;
        sessions.end_all(&user.id).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
// chapter: second-factor }

async fn find(users: &Users, id: &PathId) -> Result<User, Problem> {
    users.by_id(id.as_str()).await?.ok_or_else(unknown)
}

/// Removes duplicates, and joins the scopes in the format of tokens (RFC 6749 section 3.3).
fn checked(mut scopes: Vec<String>) -> Result<String, Problem> {
    let printable = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    let good = |scope: &String| !scope.is_empty() && scope.chars().all(printable);
    scopes.sort();
    scopes.dedup();
    let joined = scopes.join(" ");
    if !scopes.iter().all(good) || joined.len() > MAX_SCOPES_BYTES {
        let detail = "A scope must be printable ASCII, without spaces, quotes and backslashes.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_scope", detail));
    }
    Ok(joined)
}

fn changed(changed: Changed) -> Result<(), Problem> {
    let detail = match changed {
        Changed::Yes => return Ok(()),
        Changed::LastAdmin => "This is the last admin. Make another user an admin first.",
        Changed::SomebodyElse => "This user was changed elsewhere at the same time. Try again.",
    };
    let code = match changed {
        Changed::LastAdmin => "last_admin",
        _ => "conflict",
    };
    Err(Problem::new(StatusCode::CONFLICT, code, detail))
}

fn unknown() -> Problem {
    let detail = "There is no user with this id.";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}
