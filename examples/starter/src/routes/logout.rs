//! `POST /auth/logout` and `POST /auth/logout-all`: the end of one session, or of all.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tower_jwt_auth::{AuthError, AuthErrorKind, VerifiedToken};
use utoipa::ToSchema;

use crate::App;
use crate::problem::Problem;
use crate::typed::trimmed;

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Logout)]
pub(crate) struct Request {
    /// For a client whose access token has expired.
    refresh_token: Option<String>,
}

/// Ends the session of the access token, of the refresh token, or of both: with its tokens, and
/// all that followed from them. A refresh token is enough, and one that is unknown or not good any
/// more is a success (RFC 7009 section 2.2): there is nothing left to end.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "sessions",
    request_body = Option<Request>,
    responses((status = 204, description = "The session is over")),
    security(("bearer" = []), ())
)]
pub(crate) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let request = read(&body)?;
    let access = app.access_token(&headers).await;
    if let Ok(token) = &access {
        if let Some(session) = token.session_id() {
            app.sessions.end(session).await?;
        } else {
            app.tokens.revoke(token).await?;
        }
    }
    if let Some(token) = request.refresh_token {
        app.sessions.end_by_token(trimmed(&token)).await?;
    } else {
        access?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the user. A login afterwards is good at once.
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    tag = "sessions",
    responses((status = 204, description = "All sessions are over")),
    security(("bearer" = []))
)]
pub(crate) async fn logout_all(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let subject = token.subject().unwrap_or_default();
    app.sessions.end_all(subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Most clients send no body.
fn read(body: &[u8]) -> Result<Request, Problem> {
    if body.is_empty() {
        return Ok(Request::default());
    }
    let Json(request) =
        Json::from_bytes(body).map_err(|rejection| Problem::of_status(rejection.status()))?;
    Ok(request)
}

// === impl App ===

impl App {
    /// Verifies the access token here and not in a layer in front, because there may be a refresh
    /// token in its place.
    async fn access_token(&self, headers: &HeaderMap) -> Result<VerifiedToken, AuthError> {
        let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        match header.and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => {
                self.tokens.verifier().verify(token.trim()).await
            }
            _ => Err(AuthErrorKind::MissingToken.into()),
        }
    }
}
