//! `POST /auth/login/passkey` and its `/finish`: a login without a password, or the second step of one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use webauthn_rs::prelude::PublicKeyCredential;

use super::{Asked, Holder, Passkeys, Purpose, Refusal, passkeys_of};
use crate::limits::Source;
use crate::operations::events;
use crate::problem::Problem;
use crate::sessions::Client;
use crate::sessions::transport::Tokens;

// chapter: second-factor {
#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyLogin)]
pub(super) struct Start {
    /// The challenge from the response to the password. Without it, the passkey alone logs in.
    #[serde(default)]
    challenge: Option<String>,
}
// chapter: second-factor }

#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyLoginAnswer)]
pub(super) struct Answer {
    /// The name of the request.
    ceremony: String,
    /// What `navigator.credentials.get()` has returned, in the format of its `toJSON()`.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
    // chapter: second-factor {
    /// The same challenge as in the request.
    #[serde(default)]
    challenge: Option<String>,
    // chapter: second-factor }
}

/// Begins a login with a passkey.
///
/// Any passkey can answer, or with a `challenge` one of the user who has given the right password.
#[utoipa::path(
    post,
    operation_id = "log_in_by_passkey",
    path = "/auth/login/passkey",
    tag = "sessions",
    request_body = Start, // chapter: second-factor
    responses((status = 200, description = "The request for the browser", body = Asked))
)]
pub(super) async fn start(
    State(passkeys): State<Passkeys>,
    client: Client,
    Json(request): Json<Start>, // chapter: second-factor
) -> Result<Json<Asked>, Problem> {
    let party = passkeys.relying_party()?;
    // chapter: second-factor {
    if let Some(challenge) = &request.challenge {
        return passkeys
            .ask_for_second_factor(&client, challenge)
            .await
            .map(Json);
    }
    // chapter: second-factor }
    let question = party.ask_for_proof(&[])?;
    let holder = Holder::Client(client.ip);
    let asked = passkeys.ask(Purpose::LogIn, holder, "", question);
    Ok(Json(asked.await?))
}

/// Finishes a login with the answer of the browser.
///
/// A second factor is not asked for: the device has verified its user, so a passkey is two factors in one.
#[utoipa::path(
    post,
    operation_id = "finish_login_by_passkey",
    path = "/auth/login/passkey/finish",
    tag = "sessions",
    request_body = Answer,
    responses((status = 200, description = "A new session", body = Tokens))
)]
pub(super) async fn finish(
    State(passkeys): State<Passkeys>,
    client: Client,
    Json(request): Json<Answer>,
) -> Result<Tokens, Problem> {
    // chapter: second-factor {
    if let Some(challenge) = &request.challenge {
        return passkeys
            .second_factor(&client, challenge, &request.ceremony, &request.credential)
            .await;
    }
    // chapter: second-factor }
    passkeys
        .log_in(&client, &request.ceremony, &request.credential)
        .await
}

// === impl Passkeys ===

impl Passkeys {
    async fn log_in(
        &self,
        client: &Client,
        ceremony: &str,
        answer: &PublicKeyCredential,
    ) -> Result<Tokens, Problem> {
        let ceremony = self.asked(Purpose::LogIn, ceremony, "").await?;
        let account = answer.id.clone();
        let refused = |refusal: Refusal| {
            events::login_failed(&account, None, client.ip, refusal.name());
            refusal.problem(StatusCode::UNAUTHORIZED)
        };
        // The request named no user, so the passkey has to.
        if answer.get_user_unique_id().is_none() {
            return Err(refused(Refusal::WrongUser));
        }
        let stored = self.named(answer).await?.map_err(refused)?;
        let user = self.logins.users.active(&stored.user_id).await?;
        let user = user.ok_or_else(|| {
            events::login_failed(&account, None, client.ip, "disabled");
            self.logins.refused()
        })?;
        let attempts = &self.logins.attempts;
        let attempt = attempts
            .begin(&passkeys_of(&user.id), Source::Address(client.ip))
            .await?;
        let proven = match self.check(&ceremony, answer, stored).await? {
            Ok(proven) => proven,
            Err(refusal) => {
                events::login_failed(&user.email, Some(&user), client.ip, refusal.name());
                return Err(refusal.problem(StatusCode::UNAUTHORIZED));
            }
        };
        if let Some(reason) = self.logins.barred(&user) {
            events::login_failed(&user.email, Some(&user), client.ip, reason);
            return Err(self.logins.refused());
        }
        attempt.succeeded().await?;
        let amr = [proven.key(), "user", "mfa"];
        let pair = self.logins.open(&user, client, &amr).await?;
        client.transport.deliver(pair)
    }
}
