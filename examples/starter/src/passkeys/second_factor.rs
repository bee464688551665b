//! `POST /auth/second-factor/passkey`, and passkeys as the second step of a login with a password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use webauthn_rs::prelude::PublicKeyCredential;

use super::proof::{FreshProof, no_passkey};
use super::{Asked, Holder, Passkeys, Purpose, Refusal};
use crate::accounts::User;
use crate::limits::Source;
use crate::operations::events;
use crate::problem::Problem;
use crate::second_factor::login::{holder, over};
use crate::second_factor::{Added, Factors, Method, exists};
use crate::sessions::transport::Tokens;
use crate::sessions::{Caller, Client};

/// Makes the passkeys of the user a second factor for logins with a password.
///
/// The other sessions were opened without it, so they end.
#[utoipa::path(
    post,
    operation_id = "ask_for_passkey_after_password",
    path = "/auth/second-factor/passkey",
    tag = "second factor",
    request_body = FreshProof,
    responses((status = 200, description = "On; the recovery codes are shown only once", body = Added)),
    security(("bearer" = []))
)]
pub(super) async fn turn_on(
    State(passkeys): State<Passkeys>,
    State(factors): State<Factors>,
    caller: Caller,
    Json(proof): Json<FreshProof>,
) -> Result<Json<Added>, Problem> {
    passkeys.relying_party()?;
    if passkeys.table.usable(&caller.user.id).await?.is_empty() {
        return Err(no_passkey());
    }
    passkeys.reauthenticate(&caller, &proof).await?;
    let proposed = factors.propose(&caller.user.id, Method::Passkey, "");
    if !proposed.await? {
        return Err(exists());
    }
    let added = factors.turn_on(caller, Method::Passkey, String::new());
    Ok(Json(added.await?))
}

// === impl Passkeys ===

impl Passkeys {
    /// Asks a user who has given the right password for one of the passkeys.
    pub(super) async fn ask_for_second_factor(
        &self,
        client: &Client,
        challenge: &str,
    ) -> Result<Asked, Problem> {
        let (challenge, user) = holder(&self.logins.factors.challenges, client, challenge).await?;
        let usable = self.usable(&user).await?;
        if usable.is_empty() {
            return Err(no_passkey());
        }
        let question = self.relying_party()?.ask_for_proof(&usable)?;
        let holder = Holder::Account(&user);
        self.ask(Purpose::SecondFactor, holder, challenge.as_str(), question)
            .await
    }

    /// Completes the login. Attempts are counted like those of codes.
    pub(super) async fn second_factor(
        &self,
        client: &Client,
        challenge: &str,
        ceremony: &str,
        answer: &PublicKeyCredential,
    ) -> Result<Tokens, Problem> {
        let refused = |user: &User, reason: &str| {
            events::code_refused(user, client.ip, Method::Passkey, reason);
        };
        let (challenge, user) = holder(&self.logins.factors.challenges, client, challenge).await?;
        let challenges = &self.logins.factors.challenges;
        let source = Source::Address(client.ip);
        let attempts = &self.logins.attempts;
        let attempt = attempts.begin(&user.second_factor(), source).await?;
        if !challenges.count_try(challenge.as_str()).await? {
            refused(&user, "tried_too_often");
            return Err(over());
        }
        let ceremony = self.asked(Purpose::SecondFactor, ceremony, challenge.as_str());
        let ceremony = ceremony.await?;
        let checked = match self.named(answer).await? {
            Ok(stored) if stored.user_id != user.id => Err(Refusal::WrongUser),
            Ok(stored) => self.check(&ceremony, answer, stored).await?,
            Err(refusal) => Err(refusal),
        };
        let proven = checked.map_err(|refusal| {
            refused(&user, refusal.name());
            refusal.problem(StatusCode::FORBIDDEN)
        })?;
        let Some(first) = challenges.take(challenge.as_str()).await? else {
            refused(&user, "used");
            return Err(over());
        };
        attempt.succeeded().await?;
        let second = [proven.key(), "user", "mfa"];
        let amr: Vec<&str> = first.split(' ').chain(second).collect();
        let pair = self.logins.open(&user, client, &amr).await?;
        client.transport.deliver(pair)
    }
}
