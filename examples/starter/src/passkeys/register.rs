//! `POST /auth/passkeys/register` and its `/finish`: a user adds a passkey.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::ToSchema;
use webauthn_rs::prelude::{Credential, RegisterPublicKeyCredential};

use super::list::label;
use super::proof::FreshProof;
use super::table::{Added, Listed, MAX_PASSKEYS};
use super::{Asked, Holder, Passkeys, Purpose, Refusal, notices, over, parsed};
use crate::finish::finish as to_its_end;
use crate::operations::digest;
use crate::problem::Problem;
use crate::sessions::Caller;

#[derive(Deserialize, ToSchema)]
#[schema(as = NewPasskey)]
pub(super) struct Answer {
    /// The name of the request.
    ceremony: String,
    /// What `navigator.credentials.create()` has returned, in the format of its `toJSON()`.
    #[schema(value_type = Object)]
    credential: RegisterPublicKeyCredential,
    /// The name that the owner gives it.
    label: String,
}

/// Begins to add a passkey.
///
/// It takes a fresh proof, so that a stolen token is not enough (OWASP ASVS 5.0 V7.5.1).
#[utoipa::path(
    post,
    operation_id = "register_passkey",
    path = "/auth/passkeys/register",
    tag = "passkeys",
    request_body = FreshProof,
    responses((status = 200, description = "The request for the browser", body = Asked)),
    security(("bearer" = []))
)]
pub(super) async fn start(
    State(passkeys): State<Passkeys>,
    caller: Caller,
    Json(proof): Json<FreshProof>,
) -> Result<Json<Asked>, Problem> {
    let party = passkeys.relying_party()?;
    passkeys.reauthenticate(&caller, &proof).await?;
    let user = &caller.user;
    let known = passkeys.table.all(&user.id).await?;
    if i64::try_from(known.len()).is_ok_and(|count| count >= MAX_PASSKEYS) {
        return Err(too_many());
    }
    let question = party.ask_for_new(user, &parsed(&known)?)?;
    let holder = Holder::Account(user);
    let asked = passkeys.ask(Purpose::Register, holder, &user.id, question);
    Ok(Json(asked.await?))
}

/// Adds a passkey with the answer of the browser.
///
/// The owner is told by email.
#[utoipa::path(
    post,
    operation_id = "finish_registering_passkey",
    path = "/auth/passkeys/register/finish",
    tag = "passkeys",
    request_body = Answer,
    responses((status = 201, description = "The new passkey", body = Listed)),
    security(("bearer" = []))
)]
pub(super) async fn finish(
    State(passkeys): State<Passkeys>,
    caller: Caller,
    Json(answer): Json<Answer>,
) -> Result<(StatusCode, Json<Listed>), Problem> {
    let party = passkeys.relying_party()?;
    let label = label(&answer.label)?;
    let user = caller.user;
    let ceremony = passkeys.asked(Purpose::Register, &answer.ceremony, &user.id);
    let ceremony = ceremony.await?;
    if !ceremony.is_for(&user) {
        return Err(over());
    }
    let credential = URL_SAFE_NO_PAD.encode(&answer.credential.raw_id);
    if passkeys.table.by_credential(&credential).await?.is_some() {
        return Err(exists());
    }
    let made = party.new_passkey(&ceremony.state, &answer.credential)?;
    let passkey = made.map_err(|refusal| {
        let reason = refusal.name();
        tracing::info!(event = "passkey_not_added", user = digest(&user.id), reason);
        refusal.problem(StatusCode::UNPROCESSABLE_ENTITY)
    })?;
    let credential = URL_SAFE_NO_PAD.encode(passkey.cred_id());
    let stored = serde_json::to_string(&passkey).map_err(|error| Problem::internal(&error))?;
    let is_synced = Credential::from(passkey).backup_eligible;
    to_its_end(async move {
        let added = passkeys
            .table
            .add(&user, &credential, &stored, is_synced, &label)
            .await?;
        match added {
            Added::Yes(passkey) => {
                tracing::info!(event = "passkey_added", user = digest(&user.id));
                passkeys.notify(&user, notices::ADDED);
                Ok((StatusCode::CREATED, Json(passkey)))
            }
            Added::Exists => Err(exists()),
            Added::TooMany => Err(too_many()),
            Added::TooLarge => Err(Refusal::Unsupported.problem(StatusCode::UNPROCESSABLE_ENTITY)),
            Added::AccountChanged => Err(over()),
        }
    })
    .await
}

fn exists() -> Problem {
    let detail = "This passkey is registered already. Use another one.";
    Problem::new(StatusCode::CONFLICT, "passkey_exists", detail)
}

fn too_many() -> Problem {
    let detail = format!("An account can have {MAX_PASSKEYS} passkeys. Remove one first.");
    Problem::new(StatusCode::CONFLICT, "too_many_passkeys", detail)
}
