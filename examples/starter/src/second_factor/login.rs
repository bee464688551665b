//! `POST /auth/login/second-factor`: the second step of a login.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Challenges, Factors, Method, Proof, invalid_code};
use crate::accounts::User;
use crate::limits::Source;
use crate::operations::events;
use crate::problem::Problem;
use crate::sessions::transport::Tokens;
use crate::sessions::{Client, Logins};
use crate::typed::LinkSecret;

#[derive(Deserialize, ToSchema)]
#[schema(as = ChallengeAnswer)]
pub(super) struct Answer {
    challenge: String,
    method: Method,
    code: String,
}

/// Finishes a login with a code of the second factor.
///
/// The attempt is counted for the challenge, for the account together with the client address, and for the
/// account, before the code is checked.
#[utoipa::path(
    post,
    operation_id = "answer_challenge",
    path = "/auth/login/second-factor",
    tag = "sessions",
    request_body = Answer,
    responses((status = 200, description = "A new session", body = Tokens))
)]
pub(super) async fn answer(
    State(factors): State<Factors>,
    State(logins): State<Logins>,
    client: Client,
    Json(request): Json<Answer>,
) -> Result<Tokens, Problem> {
    let proof = Proof::parse(request.method, &request.code)?;
    let challenges = &factors.challenges;
    let (challenge, user) = holder(challenges, &client, &request.challenge).await?;
    let account = user.second_factor();
    let source = Source::Address(client.ip);
    let attempt = logins.attempts.begin(&account, source).await?;
    let method = request.method;
    if !challenges.count_try(challenge.as_str()).await? {
        events::code_refused(&user, client.ip, method, "tried_too_often");
        return Err(over());
    }
    if !factors.take(&user.id, &proof).await? {
        events::code_refused(&user, client.ip, method, "wrong_code");
        return Err(invalid_code());
    }
    let Some(first) = challenges.take(challenge.as_str()).await? else {
        events::code_refused(&user, client.ip, method, "used");
        return Err(over());
    };
    attempt.succeeded().await?;
    let amr: Vec<&str> = first.split(' ').chain([method.amr(), "mfa"]).collect();
    let pair = logins.open(&user, &client, &amr).await?;
    client.transport.deliver(pair)
}

/// Returns the user who has passed the first factor and has to answer this challenge.
pub(crate) async fn holder(
    challenges: &Challenges,
    client: &Client,
    challenge: &str,
) -> Result<(LinkSecret, User), Problem> {
    let unknown = || {
        events::challenge_refused(client.ip);
        over()
    };
    let challenge = LinkSecret::parse(challenge).ok_or_else(unknown)?;
    let user = challenges.holder(challenge.as_str()).await?;
    Ok((challenge, user.ok_or_else(unknown)?))
}

pub(crate) fn over() -> Problem {
    let detail = "This login has ended. Start again with the first step.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_challenge", detail)
}
