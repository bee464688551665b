//! `GET /auth/login/{provider}/callback`: a browser comes back from a provider.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::provider::{self, Provider};
use super::refusal::Refusal;
use super::{SocialLogin, answer, proved};
use crate::limits::ClientIp;
use crate::operations::digest;
use crate::problem::Problem;

/// How long the provider may take altogether, within the time limit of a request.
const PATIENCE: Duration = Duration::from_secs(8);

/// The parameters that a provider sends (RFC 6749 section 4.1.2, RFC 9207 section 2).
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Returned {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// The outcome of a login at a provider.
enum Outcome {
    /// The user has logged in, and gets a session for this secret.
    LoggedIn(String),
    /// The login was linked to the account that asked for it.
    Linked,
}

/// Receives a browser that comes back from a provider.
///
/// It is sent to the page, which gets the session with `POST /auth/login/{provider}/finish`.
#[utoipa::path(
    get,
    operation_id = "end_provider_login",
    path = "/auth/login/{provider}/callback",
    tag = "sessions",
    params(("provider" = String, Path), Returned),
    responses((status = 303, description = "To the page"))
)]
pub(super) async fn callback(
    State(social): State<SocialLogin>,
    client: ClientIp,
    Path(provider): Path<String>,
    returned: Result<Query<Returned>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let provider = social.provider(&provider)?;
    let id = &provider.id;
    let mut is_used = false;
    let outcome = match returned {
        Ok(Query(returned)) => {
            let outcome = outcome(&social, provider, &headers, &returned, &mut is_used);
            timeout(PATIENCE, outcome).await.unwrap_or_else(|_| {
                tracing::warn!(provider = id, "a provider is unavailable");
                Err(Refusal::Unavailable)
            })
        }
        // A parameter occurs twice.
        Err(_) => Err(Refusal::Over),
    };
    Ok(match outcome {
        Ok(Outcome::LoggedIn(secret)) => {
            let cookie = answer::keep(&secret, proved::LIFETIME)?;
            let page = answer::redirect(&format!("/#logged-in={id}"));
            (cookie, page).into_response()
        }
        Ok(Outcome::Linked) => {
            let page = answer::redirect(&format!("/#linked={id}"));
            (answer::remove(), page).into_response()
        }
        Err(refusal) => {
            let ClientIp(ip) = client;
            refusal.log(id, ip);
            let answer = answer::refuse(&headers, id, refusal);
            // Somebody else may have sent the browser here, so a login that is under way stays valid.
            match is_used {
                true => (answer::remove(), answer).into_response(),
                false => answer,
            }
        }
    })
}

/// Judges the response of the provider. `is_used` is set once the pending login is used up.
async fn outcome(
    social: &SocialLogin,
    provider: &Provider,
    headers: &HeaderMap,
    returned: &Returned,
    is_used: &mut bool,
) -> Result<Outcome, Refusal> {
    let verifier = answer::secret(headers).ok_or(Refusal::Over)?;
    let state = returned.state.as_deref().ok_or(Refusal::Over)?;
    let begun = social.begun.take(state, &verifier).await?;
    let begun = begun.ok_or(Refusal::Over)?;
    *is_used = true;
    if begun.provider != provider.id {
        return Err(Refusal::MixedUp);
    }
    let response = provider::Response {
        code: returned.code.as_deref(),
        issuer: returned.iss.as_deref(),
        error: returned.error.as_deref(),
    };
    let who = provider
        .identify(&response, &verifier, &begun.nonce)
        .await?;
    if let (Some(user), Some(version)) = (&begun.user_id, begun.version) {
        social.link(provider, who, user, version).await?;
        return Ok(Outcome::Linked);
    }
    let auth_time = who.auth_time;
    let user = social.account(provider, who).await?;
    let secret = social.proved.keep(&provider.id, &user, auth_time).await?;
    let (user, provider) = (digest(&user.id), &provider.id);
    tracing::info!(event = "provider_login_confirmed", user, provider);
    Ok(Outcome::LoggedIn(secret))
}
