//! `POST /auth/register`: a new account, without any scope.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tower_jwt_auth::password::MAX_PASSWORD_BYTES;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::{App, Email};

/// The fewest characters of a password that is the only factor (NIST SP 800-63B-4 section
/// 3.1.1.2). There are no rules of composition, as the same section demands.
pub const MIN_PASSWORD_CHARS: usize = 15;

#[derive(Deserialize, ToSchema)]
#[schema(as = Registration)]
pub(crate) struct Request {
    email: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    id: String,
    email: String,
}

#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "accounts",
    request_body = Request,
    responses((status = 201, description = "A new account", body = Registered))
)]
pub(crate) async fn register(
    State(app): State<App>,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let email = Email::parse(&request.email).ok_or_else(|| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "invalid_email", "This is not an e-mail address.")
    })?;
    check_password(&request.password)?;
    let hash = app.passwords.hash(&request.password).await?;
    let id = app.users.insert(&email, &hash).await?.ok_or_else(|| {
        let detail = "An account with this e-mail address exists.";
        Problem::new(StatusCode::CONFLICT, "email_taken", detail)
    })?;
    tracing::info!(user = id, "registered");
    let email = email.as_str().to_owned();
    Ok((StatusCode::CREATED, Json(Registered { id, email })))
}

fn check_password(password: &str) -> Result<(), Problem> {
    let long_enough = password.chars().count() >= MIN_PASSWORD_CHARS;
    if long_enough && password.len() <= MAX_PASSWORD_BYTES {
        return Ok(());
    }
    let detail = format!(
        "A password has at least {MIN_PASSWORD_CHARS} characters and at most \
         {MAX_PASSWORD_BYTES} bytes; any characters will do."
    );
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Err(Problem::new(status, "invalid_password", detail))
}
