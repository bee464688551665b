//! `POST /auth/login`: from an e-mail address and a password to a pair of tokens.

use axum::Json;
use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tower_jwt_auth::TokenPair;
use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};
use utoipa::ToSchema;

use crate::openapi::Tokens;
use crate::problem::Problem;
use crate::{App, Email, User};

/// How much of the `User-Agent` a session is labelled with.
const MAX_LABEL_CHARS: usize = 100;

#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
pub(crate) struct Request {
    email: String,
    password: String,
}

#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "sessions",
    request_body = Request,
    responses((status = 200, description = "A new session", body = Tokens))
)]
pub(crate) async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Json<TokenPair>, Problem> {
    let user = match Email::parse(&request.email) {
        Some(email) => app.users.by_email(&email).await?,
        None => None,
    };
    let stored = user
        .as_ref()
        .map(|user| PasswordHash::parse(&user.password_hash))
        .transpose()?;

    // An unknown user costs the same work, so that time does not tell who has an account.
    let verified = match app
        .passwords
        .verify(&request.password, stored.as_ref())
        .await
    {
        Err(PasswordError::TooLong { .. }) => Verification::Mismatch,
        verified => verified?,
    };
    let (Verification::Match { rehash }, Some(user)) = (verified, user) else {
        return Err(refused());
    };
    if user.disabled {
        return Err(refused());
    }
    if let Some(new) = rehash {
        replace_hash(&app, &user, &new).await;
    }
    let mut session = app
        .tokens
        .open_session(&user.id)
        .scopes(user.scopes.split_whitespace())
        .claim("email", &user.email);
    if let Some(label) = label(&headers) {
        session = session.label(label);
    }
    Ok(Json(session.issue().await?))
}

/// What the user will know the session by.
fn label(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    let label: String = agent.chars().take(MAX_LABEL_CHARS).collect();
    (!label.is_empty()).then_some(label)
}

/// Puts a stronger hash in the place of an old one. The login is good whether or not it works.
async fn replace_hash(app: &App, user: &User, new: &PasswordHash) {
    match app.users.replace_hash(user, new).await {
        Ok(true) => tracing::info!(user = user.id, "password hash replaced"),
        Ok(false) => {} // somebody else was faster
        Err(error) => tracing::warn!(%error, "password hash not replaced"),
    }
}

/// One answer to all that is wrong. No `WWW-Authenticate`: the password is no bearer token, and a
/// JSON body is no scheme that a header could name.
fn refused() -> Problem {
    let detail = "The e-mail address or the password is wrong.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
}
