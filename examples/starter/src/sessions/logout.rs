//! `POST /auth/logout` and `POST /auth/logout-all`: end one session, or all sessions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tower_jwt_auth::{AuthError, AuthErrorKind, Sessions, TokenIssuer, VerifiedToken};
use utoipa::ToSchema;

use super::transport::Transport;
use crate::problem::Problem;
use crate::typed::trimmed;

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Logout)]
struct Body {
    /// The refresh token, for a client whose access token has expired.
    refresh_token: Option<String>,
}

/// Ends the session of the access token, of the refresh token, or of both, with all their tokens.
///
/// A refresh token is enough. If it is unknown or not valid any more, there is nothing to end, and the
/// logout succeeds (RFC 7009 section 2.2).
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "sessions",
    request_body = Option<Body>,
    responses((status = 204, description = "Logged out")),
    security(("bearer" = []), ())
)]
pub(super) async fn logout(
    State(sessions): State<Sessions>,
    State(tokens): State<TokenIssuer>,
    transport: Transport,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let refresh_token = match &transport {
        Transport::Body => read(&body)?.refresh_token,
        Transport::Cookie { refresh_token, .. } => refresh_token.clone(),
    };
    if matches!(transport, Transport::Cookie { .. })
        && refresh_token.is_none()
        && !headers.contains_key(AUTHORIZATION)
    {
        // Nobody is logged in here, which is not an error.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let access = access_token(&tokens, &headers).await;
    if let Ok(token) = &access {
        if let Some(session) = token.session_id() {
            sessions.end(session).await?;
        } else {
            tokens.revoke(token).await?;
        }
    }
    if let Some(token) = refresh_token {
        sessions.end_by_token(trimmed(&token)).await?;
    } else {
        access?;
    }
    Ok(transport.logged_out())
}

/// Ends all sessions of the user.
///
/// The user can log in again at once.
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    tag = "sessions",
    responses((status = 204, description = "Logged out everywhere")),
    security(("bearer" = []))
)]
pub(super) async fn logout_all(
    State(sessions): State<Sessions>,
    transport: Transport,
    token: VerifiedToken,
) -> Result<Response, Problem> {
    let subject = token.subject().unwrap_or_default();
    sessions.end_all(subject).await?;
    Ok(transport.logged_out())
}

/// Verifies the access token here and not in a middleware, because a refresh token may come instead of it.
async fn access_token(
    tokens: &TokenIssuer,
    headers: &HeaderMap,
) -> Result<VerifiedToken, AuthError> {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    match header.and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => {
            tokens.verifier().verify(token.trim()).await
        }
        _ => Err(AuthErrorKind::MissingToken.into()),
    }
}

/// Reads the body. Most clients send none.
fn read(body: &[u8]) -> Result<Body, Problem> {
    if body.is_empty() {
        return Ok(Body::default());
    }
    let Json(body) = Json::from_bytes(body)?;
    Ok(body)
}
