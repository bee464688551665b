//! `POST /auth/passkeys/prove` and its `/finish`: a passkey proves that the caller is still the owner.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs::prelude::PublicKeyCredential;

use super::{Asked, Holder, LIFETIME, Passkeys, Purpose, Refusal, over, passkeys_of};
use crate::operations::digest;
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};

/// Proves that the caller is still the owner, before something that a stolen token must not do: with the
/// password or a passkey. An account with neither needs a login within the last ten minutes.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct FreshProof {
    #[serde(default)]
    current_password: Option<String>,
    /// The `passkey_proof` from `POST /auth/passkeys/prove/finish`.
    #[serde(default)]
    passkey_proof: Option<String>,
}

/// The answer of a passkey.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyAnswer)]
pub(super) struct Answer {
    /// The name of the request.
    ceremony: String,
    /// What `navigator.credentials.get()` has returned, in the format of its `toJSON()`.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyProof)]
pub(super) struct Proof {
    /// The proof. It works once.
    passkey_proof: String,
    /// The lifetime of the proof, in seconds.
    expires_in: i64,
}

/// Begins a proof by any passkey of the account.
#[utoipa::path(
    post,
    operation_id = "prove_by_passkey",
    path = "/auth/passkeys/prove",
    tag = "passkeys",
    responses((status = 200, description = "The request for the browser", body = Asked)),
    security(("bearer" = []))
)]
pub(super) async fn start(
    State(passkeys): State<Passkeys>,
    caller: Caller,
) -> Result<Json<Asked>, Problem> {
    let party = passkeys.relying_party()?;
    let user = &caller.user;
    let usable = passkeys.usable(user).await?;
    if usable.is_empty() {
        return Err(no_passkey());
    }
    let question = party.ask_for_proof(&usable)?;
    let holder = Holder::Account(user);
    let asked = passkeys.ask(Purpose::Prove, holder, &user.id, question);
    Ok(Json(asked.await?))
}

/// Finishes a proof with the answer of the browser.
#[utoipa::path(
    post,
    operation_id = "finish_proving_by_passkey",
    path = "/auth/passkeys/prove/finish",
    tag = "passkeys",
    request_body = Answer,
    responses((status = 200, description = "The proof", body = Proof)),
    security(("bearer" = []))
)]
pub(super) async fn finish(
    State(passkeys): State<Passkeys>,
    caller: Caller,
    Json(answer): Json<Answer>,
) -> Result<Json<Proof>, Problem> {
    let user = &caller.user;
    let attempts = &passkeys.logins.attempts;
    let attempt = attempts
        .begin(&passkeys_of(&user.id), caller.source())
        .await?;
    let ceremony = passkeys.asked(Purpose::Prove, &answer.ceremony, &user.id);
    let ceremony = ceremony.await?;
    if !ceremony.is_for(user) {
        return Err(over());
    }
    let named = passkeys.named(&answer.credential).await?;
    let checked = match named {
        Ok(stored) if stored.user_id != user.id => Err(Refusal::WrongUser),
        Ok(stored) => {
            passkeys
                .check(&ceremony, &answer.credential, stored)
                .await?
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = checked {
        let (user, session) = (digest(&user.id), digest(caller.session()));
        let reason = refusal.name();
        tracing::warn!(event = "passkey_check_failed", user, session, reason);
        return Err(refusal.problem(StatusCode::FORBIDDEN));
    }
    attempt.succeeded().await?;
    let holder = Holder::Account(user);
    let proof = passkeys
        .ceremonies
        .begin(Purpose::Proved, holder, &user.id, "");
    Ok(Json(Proof {
        passkey_proof: proof.await?,
        expires_in: LIFETIME,
    }))
}

// === impl Passkeys ===

impl Passkeys {
    /// Refuses a caller who does not prove to be the owner.
    pub(crate) async fn reauthenticate(
        &self,
        caller: &Caller,
        proof: &FreshProof,
    ) -> Result<(), Problem> {
        let user = &caller.user;
        if let Some(secret) = &proof.passkey_proof {
            let proved = self.asked(Purpose::Proved, secret, &user.id).await;
            let proved = proved?.is_for(user);
            return if proved { Ok(()) } else { Err(over()) };
        }
        if let Some(password) = &proof.current_password {
            return self.reauthentication.check(caller, password).await;
        }
        if user.has_password() || !self.table.usable(&user.id).await?.is_empty() {
            let detail = "Send `current_password`, or `passkey_proof` from `/auth/passkeys/prove`.";
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "proof_required",
                detail,
            ));
        }
        // Users who log in elsewhere have to log in there again (RFC 9470).
        Reauthentication::check_recent_login(caller)
    }
}

// === impl FreshProof ===

impl std::fmt::Debug for FreshProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FreshProof([redacted])")
    }
}

pub(super) fn no_passkey() -> Problem {
    let detail = "The account has no passkey. Add one first.";
    Problem::new(StatusCode::CONFLICT, "no_passkey", detail)
}
