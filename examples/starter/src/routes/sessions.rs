//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`: where the user is logged in.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use tower_jwt_auth::VerifiedToken;
use tower_jwt_auth::sessions::Session;
use utoipa::ToSchema;

use crate::App;
use crate::problem::Problem;

#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// The one that was used last comes first.
    sessions: Vec<Row>,
}

/// A session as its owner sees it. Times are seconds since 1970, as in tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct Row {
    id: String,
    /// The `User-Agent` of the login.
    label: Option<String>,
    created_at: u64,
    /// The last login or refresh; requests with the access token do not count.
    last_used_at: u64,
    /// Whether this request belongs to it.
    current: bool,
}

// === impl Row ===

impl Row {
    fn new(session: Session, current: Option<&str>) -> Self {
        Self {
            current: current == Some(session.id.as_str()),
            id: session.id,
            label: session.label,
            created_at: seconds(session.created_at),
            last_used_at: seconds(session.last_used_at),
        }
    }
}

#[utoipa::path(
    get,
    path = "/auth/sessions",
    tag = "sessions",
    responses((status = 200, description = "The own sessions", body = Sessions)),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<Json<Sessions>, Problem> {
    let sessions = app
        .tokens
        .sessions(token.subject().unwrap_or_default())
        .await?;
    let sessions = sessions
        .into_iter()
        .map(|session| Row::new(session, token.session_id()))
        .collect();
    Ok(Json(Sessions { sessions }))
}

/// Nobody learns whether an id that is not theirs is somebody else's.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "From the list")),
    responses((status = 204, description = "The session is over")),
    security(("bearer" = []))
)]
pub(crate) async fn end(
    State(app): State<App>,
    Path(id): Path<String>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    // No store has an id with NUL in it, and PostgreSQL does not even take the question.
    if id.contains('\0') || !app.tokens.end_session_of(subject, &id).await? {
        let detail = "You have no session with this id.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
