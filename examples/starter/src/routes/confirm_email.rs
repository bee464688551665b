//! `POST /auth/email/verify` and `POST /auth/email/resend`: that an address is the user's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::register::invalid_email;
use super::reset_password::invalid_link;
use crate::letters::Letter;
use crate::logging::digest;
use crate::one_time_tokens::Purpose;
use crate::problem::Problem;
use crate::typed::LinkSecret;
use crate::{App, Email};

#[derive(Deserialize, ToSchema)]
#[schema(as = EmailConfirmation)]
pub(crate) struct Verify {
    token: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AnotherLetter)]
pub(crate) struct Resend {
    email: String,
}

/// The claim `email_verified` follows at the next login or refresh.
#[utoipa::path(
    post,
    operation_id = "confirm_email",
    path = "/auth/email/verify",
    tag = "accounts",
    request_body = Verify,
    responses((status = 204, description = "The address is confirmed"))
)]
pub(crate) async fn verify(
    State(app): State<App>,
    Json(request): Json<Verify>,
) -> Result<StatusCode, Problem> {
    let purpose = Purpose::ConfirmEmail;
    let token = LinkSecret::parse(&request.token).ok_or_else(invalid_link)?;
    let user = app.one_time.holder(purpose, token.as_str()).await?;
    let user = user.ok_or_else(invalid_link)?;
    if !app.one_time.take(purpose, token.as_str(), &user).await? {
        return Err(invalid_link());
    }
    app.users.confirm_email(&user).await?;
    tracing::info!(event = "email_confirmed", user = digest(&user.id));
    Ok(StatusCode::NO_CONTENT)
}

/// As for a forgotten password, nothing is looked up here.
#[utoipa::path(
    post,
    operation_id = "resend_confirmation",
    path = "/auth/email/resend",
    tag = "accounts",
    request_body = Resend,
    responses((status = 202, description = "Another letter, if it is needed"))
)]
pub(crate) async fn resend(
    State(app): State<App>,
    Json(request): Json<Resend>,
) -> Result<StatusCode, Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    app.outbox.post(Letter::ConfirmEmail(email));
    Ok(StatusCode::ACCEPTED)
}
