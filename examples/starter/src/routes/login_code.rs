//! `POST /auth/login/second-factor` and `POST /auth/login/sms`: the second step of a login.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use tower_jwt_auth::issuer::TokenPair;
use utoipa::ToSchema;

use super::login::open_session;
use super::second_factor::invalid_code;
use crate::attempts::Source;
use crate::client_ip::ClientIp;
use crate::openapi::Tokens;
use crate::problem::Problem;
use crate::second_factor::{Method, Proof, SmsPurpose};
use crate::typed::LinkSecret;
use crate::{App, events};

#[derive(Deserialize, ToSchema)]
#[schema(as = ChallengeAnswer)]
pub(crate) struct Answer {
    challenge: String,
    method: Method,
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SmsRequest)]
pub(crate) struct Send {
    challenge: String,
}

/// Tries are counted three times before the code is looked at: for the challenge, for the account
/// and the address, and for the account.
#[utoipa::path(
    post,
    operation_id = "answer_challenge",
    path = "/auth/login/second-factor",
    tag = "sessions",
    request_body = Answer,
    responses((status = 200, description = "A new session", body = Tokens))
)]
pub(crate) async fn answer(
    State(app): State<App>,
    Extension(client): Extension<ClientIp>,
    headers: HeaderMap,
    Json(request): Json<Answer>,
) -> Result<Json<TokenPair>, Problem> {
    let proof = Proof::parse(request.method, &request.code)?;
    let unknown = || {
        events::challenge_refused(client);
        over()
    };
    let challenge = LinkSecret::parse(&request.challenge).ok_or_else(unknown)?;
    let challenges = &app.factors.challenges;
    let user = challenges.holder(challenge.as_str()).await?;
    let user = user.ok_or_else(unknown)?;
    let account = user.second_factor();
    let attempt = app
        .attempts
        .begin(&account, Source::Address(client))
        .await?;
    let method = request.method;
    if !challenges.count_try(challenge.as_str()).await? {
        events::code_refused(&user, client, method, "tried_too_often");
        return Err(over());
    }
    if !app.factors.take(&user.id, &proof).await? {
        events::code_refused(&user, client, method, "wrong_code");
        return Err(invalid_code());
    }
    if !challenges.take(challenge.as_str()).await? {
        events::code_refused(&user, client, method, "used");
        return Err(over());
    }
    attempt.succeeded().await?;
    let amr = ["pwd", method.amr(), "mfa"];
    open_session(&app, &user, client, &headers, &amr).await
}

/// Sends a code to the telephone of whoever has shown the password.
#[utoipa::path(
    post,
    operation_id = "send_sms_code",
    path = "/auth/login/sms",
    tag = "sessions",
    request_body = Send,
    responses((status = 202, description = "A code is on its way to the telephone"))
)]
pub(crate) async fn send(
    State(app): State<App>,
    Json(request): Json<Send>,
) -> Result<StatusCode, Problem> {
    let challenge = LinkSecret::parse(&request.challenge).ok_or_else(over)?;
    let user = app.factors.challenges.holder(challenge.as_str()).await?;
    let user = user.ok_or_else(over)?;
    let phone = app.factors.phone(&user.id).await?.ok_or_else(over)?;
    app.send_code(&user, phone, SmsPurpose::Login).await?;
    Ok(StatusCode::ACCEPTED)
}

fn over() -> Problem {
    let detail = "This login is over: begin with the password again.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_challenge", detail)
}
