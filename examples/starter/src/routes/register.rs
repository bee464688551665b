//! `POST /auth/register`: a new account, without any scope.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::finish::finish;
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
    /// For `POST /auth/email/resend`. It is random, and there is one in every answer.
    registration: String,
}

/// One answer, after the same work, whether or not the address has an account already (OWASP ASVS 5.0 V6.3.8):
/// only its owner learns that, by email. Each registration of an address has its own link and its own
/// password; the first link that is confirmed decides.
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
    let answer = finish(async move {
        let registration = app.accounts.register(&email, &hash).await?;
        tracing::info!(event = "registered", registration = digest(&registration));
        let answer = Registered {
            email: email.as_str().to_owned(),
            registration: registration.clone(),
        };
        app.outbox.post(Letter::Registered {
            email,
            registration,
        });
        Ok::<_, Problem>(answer)
    });
    let answer = answer.await?;
    end_of_step(start).await;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// It says nothing of whether there is such an account.
pub(super) fn invalid_email() -> Problem {
    let detail = "This is not an email address: it has the form name@example.com.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_email", detail)
}
