//! `POST /auth/password/forgot` and `POST /auth/password/reset`: a new password for whoever reads the
//! emails of the account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Accounts;
use super::one_time_tokens::{self, OneTimeTokens};
use super::password_changes::PasswordChanges;
use super::proof::{Claimant, Proved};
use super::register::invalid_email;
use super::registrations;
use crate::finish::finish;
use crate::limits::ClientIp;
use crate::operations::{digest, events};
use crate::outbox::{Notification, Outbox};
use crate::passwords::Owner;
use crate::problem::Problem;
use crate::typed::{Email, LinkSecret};

/// The name of these links in the log.
const RESET: &str = "reset_password";

#[derive(Deserialize, ToSchema)]
#[schema(as = ForgottenPassword)]
pub(super) struct Forgot {
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
pub(super) struct Reset {
    token: String,
    new_password: String,
}

/// Sends a link to choose a new password.
///
/// The request does not look up the account, so neither the response nor its time tells whether there is
/// one (OWASP ASVS 5.0 V6.3.8).
#[utoipa::path(
    post,
    operation_id = "forgot_password",
    path = "/auth/password/forgot",
    tag = "passwords",
    request_body = Forgot,
    responses((status = 202, description = "An email is on its way, if there is such an account"))
)]
pub(super) async fn forgot(
    State(outbox): State<Outbox>,
    Json(request): Json<Forgot>,
) -> Result<StatusCode, Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    outbox.post(Notification::ResetPassword(email));
    Ok(StatusCode::ACCEPTED)
}

/// Chooses a new password with the token of a link.
///
/// All sessions end, and none is opened: the user logs in with the new password, and with the second factor
/// if there is one.
#[utoipa::path(
    post,
    operation_id = "reset_password_by_link",
    path = "/auth/password/reset",
    tag = "passwords",
    request_body = Reset,
    responses((status = 204, description = "Changed; all sessions have ended"))
)]
pub(super) async fn reset(
    State(accounts): State<Accounts>,
    State(changes): State<PasswordChanges>,
    State(links): State<OneTimeTokens>,
    client: ClientIp,
    Json(request): Json<Reset>,
) -> Result<StatusCode, Problem> {
    let purpose = one_time_tokens::Purpose::ResetPassword;
    let link = LinkSecret::parse(&request.token).ok_or_else(|| invalid_link(client, RESET))?;
    let Some(user) = links.holder(purpose, link.as_str()).await? else {
        return first_proof(accounts, changes, client, link, request.new_password).await;
    };
    let hash = changes.hash(&user, &request.new_password).await?;
    finish(async move {
        // Comes first, so that the link is still valid if the sessions cannot be ended.
        changes.sessions.end_all(&user.id).await?;
        let taken = links.take(purpose, link.as_str(), &user).await?;
        if !taken || !changes.users.reset_password(&user, &hash).await? {
            return Err(invalid_link(client, RESET));
        }
        // Ends sessions that were opened in between with the old password.
        changes.sessions.end_all(&user.id).await?;
        changes.made(&user, "password_reset").await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Uses a link to an address that is not proved yet. This proves the address, and the new account gets the
/// password.
async fn first_proof(
    accounts: Accounts,
    changes: PasswordChanges,
    client: ClientIp,
    link: LinkSecret,
    new_password: String,
) -> Result<StatusCode, Problem> {
    let purpose = registrations::Purpose::Reset;
    let found = accounts.registrations.by_link(purpose, link.as_str());
    let open = found
        .await?
        .filter(|registration| registration.user_id.is_none());
    let registration = open.ok_or_else(|| invalid_link(client, RESET))?;
    let owner = Owner::new(&registration.email);
    changes.policy.check(&new_password, owner).await?;
    let hash = changes.passwords.hash(&new_password).await?;
    finish(async move {
        let (id, email) = (&registration.id, Email::stored(&registration.email));
        let claimant = Claimant::WithPassword(hash);
        let proved = accounts.prove_by(Some(id), &email, claimant).await?;
        let Proved::First(user) = proved else {
            return Err(invalid_link(client, RESET));
        };
        tracing::info!(event = "password_reset", user = digest(&user.id));
        let notification = Notification::PasswordChanged(user.address());
        changes.outbox.post(notification);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Gives one response for everything that is wrong with a link. `purpose` is for the log.
pub(super) fn invalid_link(client: ClientIp, purpose: &str) -> Problem {
    events::link_refused(client, purpose);
    let detail =
        "The link is not valid: it was used, has expired, or is not the newest. Ask for another.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_link", detail)
}
