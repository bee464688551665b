//! `POST /auth/email/verify` and `POST /auth/email/resend`: the owner proves an address.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tower_jwt_auth::password::PasswordHash;
use utoipa::ToSchema;

use super::Accounts;
use super::proof::{Claimant, Proved};
use super::registrations::{Purpose, Registration};
use super::reset_password::invalid_link;
use super::users::is_id;
use crate::limits::ClientIp;
use crate::outbox::{Notification, Outbox};
use crate::problem::Problem;
use crate::typed::{Email, LinkSecret};

/// What the log says of links of this kind.
const CONFIRM: &str = "confirm_email";

#[derive(Deserialize, ToSchema)]
#[schema(as = EmailConfirmation)]
pub(super) struct Verify {
    token: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AnotherEmail)]
pub(super) struct Resend {
    /// From the answer to the registration.
    registration: String,
}

/// The account is the one that was registered with this link: its password counts from now on, and
/// everybody who was logged in before is logged out. The same link says the same again.
#[utoipa::path(
    post,
    operation_id = "confirm_email",
    path = "/auth/email/verify",
    tag = "accounts",
    request_body = Verify,
    responses((status = 204, description = "The address is confirmed"))
)]
pub(super) async fn verify(
    State(accounts): State<Accounts>,
    client: ClientIp,
    Json(request): Json<Verify>,
) -> Result<StatusCode, Problem> {
    let token = LinkSecret::parse(&request.token);
    let token = token.ok_or_else(|| invalid_link(client, CONFIRM))?;
    let registrations = &accounts.registrations;
    let found = registrations.by_link(Purpose::Register, token.as_str());
    let Some(registration) = found.await? else {
        return Err(invalid_link(client, CONFIRM));
    };
    if let Some(claimant) = claimant(&registration) {
        let (id, email) = (&registration.id, Email::stored(&registration.email));
        let proved = accounts.prove_by(Some(id), &email, claimant).await?;
        if let Proved::First(_) = proved {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    // Pressed again, perhaps in this moment: whoever has the link learns only what they have done.
    let found = registrations.by_link(Purpose::Register, token.as_str());
    let owner = match found.await?.and_then(|registration| registration.user_id) {
        Some(id) => accounts.users.active(&id).await?,
        None => None,
    };
    let confirmed = owner.is_some_and(|owner| owner.email == registration.email);
    match confirmed {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(invalid_link(client, CONFIRM)),
    }
}

/// Returns `None` if the registration has made its account already.
fn claimant(registration: &Registration) -> Option<Claimant> {
    let hash = registration.password_hash.as_deref()?;
    PasswordHash::parse(hash).ok().map(Claimant::WithPassword)
}

/// As for a forgotten password, nothing is looked up here. Whoever does not know the registration any
/// more registers again, or asks for a new password.
#[utoipa::path(
    post,
    operation_id = "resend_confirmation",
    path = "/auth/email/resend",
    tag = "accounts",
    request_body = Resend,
    responses((status = 202, description = "Another email, if it is needed"))
)]
pub(super) async fn resend(
    State(outbox): State<Outbox>,
    Json(request): Json<Resend>,
) -> StatusCode {
    if is_id(&request.registration) {
        outbox.post(Notification::ConfirmAgain(request.registration));
    }
    StatusCode::ACCEPTED
}
