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

/// The name of these links in the log.
const CONFIRM: &str = "confirm_email";

#[derive(Deserialize, ToSchema)]
#[schema(as = EmailConfirmation)]
pub(super) struct Verify {
    token: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AnotherEmail)]
pub(super) struct Resend {
    /// The id in the response to the registration.
    registration: String,
}

/// Confirms an email address.
///
/// The account gets the password that was registered with this link. All sessions of the address end. A
/// link that is used again gets the same response.
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
    // The link may be used twice, even at the same moment. Its holder learns only what they have done
    // themselves.
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

/// Returns who claims the address with a registration, or `None` if the registration has made its account already.
fn claimant(registration: &Registration) -> Option<Claimant> {
    let hash = registration.password_hash.as_deref()?;
    PasswordHash::parse(hash).ok().map(Claimant::WithPassword)
}

/// Sends the link to confirm an email address once more.
///
/// The response does not tell whether there is such a registration. A user who has lost the id can register
/// again or ask for a new password.
#[utoipa::path(
    post,
    operation_id = "resend_confirmation",
    path = "/auth/email/resend",
    tag = "accounts",
    request_body = Resend,
    responses((status = 202, description = "An email is on its way, if it is needed"))
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
