//! `POST /auth/refresh`: exchanges a refresh token for the next pair of tokens.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::issuer::TokenPair;
use utoipa::ToSchema;

use super::Client;
use super::transport::{Tokens, Transport};
use crate::accounts::Users;
use crate::problem::Problem;
use crate::typed::trimmed;

/// The refresh token. Not needed with `Token-Transport: cookie`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh)]
struct Body {
    refresh_token: String,
}

/// Exchanges a refresh token for the next pair of tokens.
///
/// If the request fails or its response is lost, send the same token again to get the next pair.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "sessions",
    request_body = Option<Body>,
    responses(
        (status = 200, description = "The next pair of tokens", body = Tokens),
        (status = 204, description = "There is no cookie, so nobody is logged in"),
    )
)]
pub(super) async fn refresh(
    State(sessions): State<Sessions>,
    State(users): State<Users>,
    client: Client,
    request: Request,
) -> Result<Response, Problem> {
    let token = match &client.transport {
        Transport::Cookie { refresh_token, .. } => refresh_token.clone(),
        Transport::Body => {
            let Json(body) = Json::<Body>::from_request(request, &()).await?;
            Some(body.refresh_token)
        }
    };
    let Some(token) = token else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    match next_pair(&sessions, &users, &client, trimmed(&token)).await {
        Ok(pair) => Ok(client.transport.deliver(pair)?.into_response()),
        Err(problem) => Ok(client.transport.refuse(problem)),
    }
}

async fn next_pair(
    sessions: &Sessions,
    users: &Users,
    client: &Client,
    token: &str,
) -> Result<TokenPair, Problem> {
    let refresh = sessions.refresh(token).await?;
    let Some(user) = users.active(refresh.subject()).await? else {
        // Runs to its end once it has begun, even if the client has gone.
        sessions.end(refresh.session_id()).await?;
        return Err(Problem::invalid_grant());
    };
    // The scopes that the user still has, out of those of the login. More scopes need a new login.
    let granted = refresh.granted_scopes().iter();
    let retained: Vec<_> = granted
        .filter(|scope| user.has_scope(scope))
        .cloned()
        .collect();
    // These replace the claims of the login. Its other claims, such as `amr`, stay.
    let claims = json!({ "email": user.email, "email_verified": user.email_verified });
    let refreshed = refresh
        .claims(claims)
        .scopes(retained)
        .client(client.mark())
        .dpop(client.proof.as_ref())
        .issue()
        .await?;
    Ok(refreshed.tokens)
}
