//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`: where the user is logged in.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tower_jwt_auth::{Sessions, VerifiedToken};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::typed::PathId;

#[derive(Serialize, ToSchema)]
#[schema(as = Sessions)]
pub(super) struct Listed {
    /// The session that was used last comes first.
    sessions: Vec<Session>,
}

/// A session as its owner sees it. Times are seconds since 1970, as in tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    id: String,
    /// The `User-Agent` of the login.
    label: Option<String>,
    created_at: u64,
    /// The last login or refresh; requests with the access token do not count.
    last_used_at: u64,
    /// The absolute expiry of the session.
    expires_at: u64,
    /// Whether this request belongs to it.
    current: bool,
    /// Whether its tokens are worthless without the key of its client.
    bound: bool,
}

/// Lists the sessions of the user.
#[utoipa::path(
    get,
    path = "/auth/sessions",
    tag = "sessions",
    responses((status = 200, description = "The sessions of the user", body = Listed)),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(sessions): State<Sessions>,
    token: VerifiedToken,
) -> Result<Json<Listed>, Problem> {
    let sessions = of_user(&sessions, &token).await?;
    Ok(Json(Listed { sessions }))
}

/// Ends a session of the user.
///
/// An id of another user is refused like an unknown one.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "The id from the list")),
    responses((status = 204, description = "Ended")),
    security(("bearer" = []))
)]
pub(super) async fn end(
    State(sessions): State<Sessions>,
    id: PathId,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    if !sessions.end_owned_by(subject, id.as_str()).await? {
        let detail = "You have no session with this id.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the sessions of the user of this token.
pub(crate) async fn of_user(
    sessions: &Sessions,
    token: &VerifiedToken,
) -> Result<Vec<Session>, Problem> {
    let subject = token.subject().unwrap_or_default();
    let listed = sessions.list(subject).await?.into_iter();
    let own = listed.map(|session| Session {
        current: token.session_id() == Some(session.id.as_str()),
        bound: session.is_bound,
        id: session.id,
        label: session.label,
        created_at: seconds(session.created_at),
        last_used_at: seconds(session.last_used_at),
        expires_at: seconds(session.expires_at),
    });
    Ok(own.collect())
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
