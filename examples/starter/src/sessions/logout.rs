//! `POST /auth/logout` and `POST /auth/logout-all`: end one session, or all sessions.

use std::convert::Infallible;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::{Sessions, TokenIssuer, VerifiedToken};
use utoipa::ToSchema;

use super::transport::Transport;
use crate::app::RequireToken;
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
    Extension(layer): Extension<RequireToken>,
    transport: Transport,
    head: Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    let refresh_token = match &transport {
        Transport::Body => read(&body)?.refresh_token,
        Transport::Cookie { refresh_token, .. } => refresh_token.clone(),
    };
    let has_access_token = head.headers.contains_key(AUTHORIZATION);
    if matches!(transport, Transport::Cookie { .. }) && refresh_token.is_none() && !has_access_token
    {
        // Nobody is logged in here, which is not an error.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if has_access_token || refresh_token.is_none() {
        match access_token(&layer, head).await {
            Ok(token) => match token.session_id() {
                Some(session) => drop(sessions.end(session).await?),
                None => tokens.revoke(&token).await?,
            },
            Err(refusal) if refresh_token.is_none() => return Ok(refusal),
            Err(_) => {}
        }
    }
    // Needs no proof of a key: whoever has a refresh token may end its session (RFC 7009).
    if let Some(token) = refresh_token {
        sessions.end_by_token(trimmed(&token)).await?;
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

/// Lets the layer that is in front of other routes verify the access token, with its proof if it is bound to a key.
/// Returns the token, or the response of the layer.
async fn access_token(layer: &RequireToken, head: Parts) -> Result<VerifiedToken, Response> {
    let told = service_fn(async |request: Request| {
        let token = request.extensions().get::<VerifiedToken>().cloned();
        let mut response = Response::new(HttpBody::empty());
        token.map(|token| response.extensions_mut().insert(token));
        Ok::<_, Infallible>(response)
    });
    let request = Request::from_parts(head, HttpBody::empty());
    let Ok(mut response) = layer.layer(told).oneshot(request).await;
    let token = response.extensions_mut().remove();
    token.ok_or(response)
}

/// Reads the body. Most clients send none.
fn read(body: &[u8]) -> Result<Body, Problem> {
    if body.is_empty() {
        return Ok(Body::default());
    }
    let Json(body) = Json::from_bytes(body)?;
    Ok(body)
}
