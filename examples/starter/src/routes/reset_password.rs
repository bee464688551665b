//! `POST /auth/password/forgot` and `POST /auth/password/reset`: a new password for who reads the
//! mail of the account.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::register::invalid_email;
use crate::accounts::{self, Claimant, Proved};
use crate::client_ip::ClientIp;
use crate::finish::finish;
use crate::letters::Letter;
use crate::logging::digest;
use crate::one_time_tokens::Purpose;
use crate::password_policy::Owner;
use crate::problem::Problem;
use crate::typed::LinkSecret;
use crate::{App, Email, events};

/// What the log says of links of this kind.
const RESET: &str = "reset_password";

#[derive(Deserialize, ToSchema)]
#[schema(as = ForgottenPassword)]
pub(crate) struct Forgot {
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
pub(crate) struct Reset {
    token: String,
    new_password: String,
}

/// Whether there is such an account is not even looked up here: so neither the answer nor its
/// time can tell (OWASP ASVS 5.0 V6.3.8).
#[utoipa::path(
    post,
    operation_id = "forgot_password",
    path = "/auth/password/forgot",
    tag = "passwords",
    request_body = Forgot,
    responses((status = 202, description = "A letter with a link, if there is such an account"))
)]
pub(crate) async fn forgot(
    State(app): State<App>,
    Json(request): Json<Forgot>,
) -> Result<StatusCode, Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    app.outbox.post(Letter::ResetPassword(email));
    Ok(StatusCode::ACCEPTED)
}

/// Ends all sessions, and opens none: the new password is to be used, and a second factor with it
/// where there is one.
#[utoipa::path(
    post,
    operation_id = "reset_password_by_link",
    path = "/auth/password/reset",
    tag = "passwords",
    request_body = Reset,
    responses((status = 204, description = "Changed; all sessions are over"))
)]
pub(crate) async fn reset(
    State(app): State<App>,
    Extension(client): Extension<ClientIp>,
    Json(request): Json<Reset>,
) -> Result<StatusCode, Problem> {
    let purpose = Purpose::ResetPassword;
    let token = LinkSecret::parse(&request.token).ok_or_else(|| invalid_link(client, RESET))?;
    let Some(user) = app.one_time.holder(purpose, token.as_str()).await? else {
        return first_proof(app, client, token, request.new_password).await;
    };
    app.check_new_password_of(&user, &request.new_password)
        .await?;
    let hash = app.passwords.hash(&request.new_password).await?;
    finish(async move {
        // Before anything changes: if the sessions cannot be ended, the link is still good.
        app.sessions.end_all(&user.id).await?;
        let taken = app.one_time.take(purpose, token.as_str(), &user).await?;
        if !taken || !app.users.reset_password(&user, &hash).await? {
            return Err(invalid_link(client, RESET));
        }
        // What was opened in between, with the old password.
        app.sessions.end_all(&user.id).await?;
        app.attempts.new_password(&user).await?;
        tracing::info!(event = "password_reset", user = digest(&user.id));
        app.outbox.post(Letter::PasswordChanged(user.address()));
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A link to an address that is not proved yet. Who uses it proves the address with it, and chooses the
/// password of the new account.
async fn first_proof(
    app: App,
    client: ClientIp,
    token: LinkSecret,
    new_password: String,
) -> Result<StatusCode, Problem> {
    let registrations = &app.accounts.registrations;
    let found = registrations.by_link(accounts::Purpose::Reset, token.as_str());
    let open = found
        .await?
        .filter(|registration| registration.user_id.is_none());
    let registration = open.ok_or_else(|| invalid_link(client, RESET))?;
    let owner = Owner {
        email: &registration.email,
        second_factor: false,
    };
    app.check_new_password(&new_password, owner).await?;
    let hash = app.passwords.hash(&new_password).await?;
    finish(async move {
        let (id, email) = (&registration.id, Email::stored(&registration.email));
        let claimant = Claimant::WithPassword(hash);
        let proved = app.accounts.prove_by(Some(id), &email, claimant).await?;
        let Proved::First(user) = proved else {
            return Err(invalid_link(client, RESET));
        };
        tracing::info!(event = "password_reset", user = digest(&user.id));
        app.outbox.post(Letter::PasswordChanged(user.address()));
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// One answer to all that is wrong with a link. `purpose` is for the log.
pub(super) fn invalid_link(client: ClientIp, purpose: &str) -> Problem {
    events::link_refused(client, purpose);
    let detail = "The link is not valid: it was used, is too old, or is not the newest.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_link", detail)
}
