//! `POST /auth/register`: a new account, without any scope.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::letters::Letter;
use crate::logging::digest;
use crate::password_policy::Owner;
use crate::problem::Problem;
use crate::uniform::end_of_step;
use crate::{App, Email};

#[derive(Deserialize, ToSchema)]
#[schema(as = Registration)]
pub(crate) struct Request {
    email: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    email: String,
}

/// One answer, after the same work, whether or not the address has an account already (OWASP ASVS 5.0 V6.3.8):
/// only its owner learns that, by e-mail.
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "accounts",
    request_body = Request,
    responses((status = 202, description = "A letter is on its way", body = Registered))
)]
pub(crate) async fn register(
    State(app): State<App>,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    let owner = Owner {
        email: email.as_str(),
        second_factor: false,
    };
    app.check_new_password(&request.password, owner).await?;
    let start = Instant::now();
    let hash = app.passwords.hash(&request.password).await?;
    let added = app.users.insert(&email, &hash).await?;
    let answer = email.as_str().to_owned();
    app.outbox.post(match added {
        Some(id) => {
            tracing::info!(user = digest(&id), "registered");
            Letter::ConfirmEmail(email)
        }
        None => Letter::AlreadyRegistered(email),
    });
    end_of_step(start).await;
    Ok((StatusCode::ACCEPTED, Json(Registered { email: answer })))
}

/// It says nothing of whether there is such an account.
pub(super) fn invalid_email() -> Problem {
    let detail = "This is not an email address: it has the form name@example.com.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_email", detail)
}
