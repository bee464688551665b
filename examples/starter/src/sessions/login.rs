//! `POST /auth/login`: logs in with an email address and a password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Client, LoginAnswer, Logins};
use crate::accounts::invalid_email;
use crate::limits::end_of_step;
use crate::problem::Problem;
use crate::typed::Email;

#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
pub(super) struct Request {
    email: String,
    password: String,
}

/// Logs in with an email address and a password.
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "sessions",
    request_body = Request,
    responses((status = 200, description = "A new session, or a challenge", body = LoginAnswer))
)]
pub(super) async fn login(
    State(logins): State<Logins>,
    client: Client,
    Json(request): Json<Request>,
) -> Result<LoginAnswer, Problem> {
    let start = Instant::now();
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    let answer = logins.by_password(&client, &email, &request.password).await;
    // A refusal is delayed, so that its time does not tell the reason (OWASP ASVS 5.0 V6.3.8).
    if matches!(&answer, Err(problem) if problem.is(StatusCode::UNAUTHORIZED)) {
        end_of_step(start).await;
    }
    answer
}
