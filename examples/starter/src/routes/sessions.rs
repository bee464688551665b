//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`: where the user is logged in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tower_jwt_auth::VerifiedToken;
use tower_jwt_auth::sessions::Session;
use utoipa::ToSchema;

use crate::App;
use crate::openapi::SessionShape;
use crate::problem::Problem;
use crate::typed::PathId;

#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// The one that was used last comes first.
    sessions: Vec<Row>,
}

/// A session as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct Row {
    #[serde(flatten)]
    #[schema(value_type = SessionShape)]
    session: Session,
    /// Whether this request belongs to it.
    current: bool,
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
    let subject = token.subject().unwrap_or_default();
    let sessions = app.sessions.list(subject).await?;
    let rows = sessions.into_iter().map(|session| Row {
        current: token.session_id() == Some(session.id.as_str()),
        session,
    });
    Ok(Json(Sessions {
        sessions: rows.collect(),
    }))
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
    id: PathId,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    if !app.sessions.end_of(subject, id.as_str()).await? {
        let detail = "You have no session with this id.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    Ok(StatusCode::NO_CONTENT)
}
