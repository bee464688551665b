//! `POST /auth/register`: a new account without scopes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Accounts;
use crate::finish::finish;
use crate::limits::end_of_step;
use crate::operations::digest;
use crate::outbox::{Notification, Outbox};
use crate::passwords::{Owner, PasswordPolicy, Passwords};
use crate::problem::Problem;
use crate::typed::Email;

#[derive(Deserialize, ToSchema)]
#[schema(as = Registration)]
pub(super) struct Request {
    email: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Registered {
    email: String,
    /// The id to send to `POST /auth/email/resend`. It is random, and every response has one.
    registration: String,
}

/// Registers an email address with a password.
///
/// The response and the work are the same whether or not the address has an account (OWASP ASVS 5.0
/// V6.3.8). Only its owner learns that, by email. Each registration of an address has its own link and its
/// own password. The first link that is confirmed decides.
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "accounts",
    request_body = Request,
    responses((status = 202, description = "An email is on its way", body = Registered))
)]
pub(super) async fn register(
    State(accounts): State<Accounts>,
    State(outbox): State<Outbox>,
    State(passwords): State<Passwords>,
    State(policy): State<PasswordPolicy>,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    let owner = Owner::new(email.as_str());
    policy.check(&request.password, owner).await?;
    let start = Instant::now();
    let hash = passwords.hash(&request.password).await?;
    let answer = finish(async move {
        let registration = accounts.register(&email, &hash).await?;
        tracing::info!(event = "registered", registration = digest(&registration));
        let answer = Registered {
            email: email.as_str().to_owned(),
            registration: registration.clone(),
        };
        outbox.post(Notification::Registered {
            email,
            registration,
        });
        Ok::<_, Problem>(answer)
    });
    let answer = answer.await?;
    end_of_step(start).await;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Refuses a malformed address. The response does not tell whether there is such an account.
pub(crate) fn invalid_email() -> Problem {
    let detail = "This is not an email address. Use the form name@example.com.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_email", detail)
}
