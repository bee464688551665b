//! `GET /auth/login/{provider}` sends a browser to the provider. In the end, `POST /auth/login/{provider}/finish`
//! gives the page the session.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::begun::{LIFETIME, Started};
use super::provider::Provider;
use super::refusal::Refusal;
use super::{SocialLogin, answer};
use crate::limits::ClientIp;
use crate::problem::Problem;
use crate::sessions::transport::Transport;
use crate::sessions::{Client, LoginAnswer};

/// The `amr` value of a login at a provider. RFC 8176 has none for it. Other issuers use this one.
const AMR: &str = "fed";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Whether the provider should ask for the password even if the user is logged in there.
    #[serde(default)]
    fresh: bool,
}

/// The providers at which users may log in.
#[derive(Serialize, ToSchema)]
pub(super) struct Providers {
    providers: Vec<Offered>,
}

#[derive(Serialize, ToSchema)]
struct Offered {
    /// The name of the provider in paths.
    id: String,
    /// The name of the provider for people.
    name: String,
}

/// Lists the providers at which users may log in.
#[utoipa::path(
    get,
    operation_id = "list_providers",
    path = "/auth/providers",
    tag = "sessions",
    responses((status = 200, description = "The providers", body = Providers))
)]
pub(super) async fn providers(State(social): State<SocialLogin>) -> Json<Providers> {
    let providers = social.providers.iter();
    let offered = providers.map(|provider| Offered {
        id: provider.id.clone(),
        name: provider.name.clone(),
    });
    Json(Providers {
        providers: offered.collect(),
    })
}

/// Sends a browser to a provider.
///
/// Only for browsers, which follow the redirect and keep the cookie `__Host-login`.
#[utoipa::path(
    get,
    operation_id = "begin_provider_login",
    path = "/auth/login/{provider}",
    tag = "sessions",
    params(("provider" = String, Path), How),
    responses((status = 303, description = "To the provider"))
)]
pub(super) async fn start(
    State(social): State<SocialLogin>,
    client: ClientIp,
    Path(provider): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let provider = social.provider(&provider)?;
    match social.begin(provider, client, how.fresh, None).await {
        Ok((location, started)) => {
            let cookie = answer::keep(&started.verifier, LIFETIME)?;
            Ok((cookie, answer::redirect(&location)).into_response())
        }
        Err(refusal) => Ok(answer::refuse(&headers, &provider.id, refusal)),
    }
}

// === impl SocialLogin ===

impl SocialLogin {
    /// Stores a new login, and returns where to send the browser. `user` is who wants to link it, and the
    /// version of that user.
    pub(super) async fn begin(
        &self,
        provider: &Provider,
        client: ClientIp,
        fresh: bool,
        user: Option<(&str, i64)>,
    ) -> Result<(String, Started), Refusal> {
        if let Some(wait) = self.begun.too_many(client).await? {
            let detail = "Too many logins from this address. `Retry-After` says when to try again.";
            return Err(Problem::too_many(detail, wait).into());
        }
        let started = Started::new()?;
        let location = provider.authorization(&started, fresh).await?;
        self.begun.keep(&started, &provider.id, user).await?;
        Ok((location.into(), started))
    }
}

/// Finishes a login at a provider, after the browser has come back to the page.
///
/// The response is that of a login with a password. The request needs `Token-Transport: cookie` and the cookie
/// `__Host-login`.
#[utoipa::path(
    post,
    operation_id = "finish_provider_login",
    path = "/auth/login/{provider}/finish",
    tag = "sessions",
    params(("provider" = String, Path)),
    responses((status = 200, description = "A new session, or a challenge", body = LoginAnswer))
)]
pub(super) async fn finish(
    State(social): State<SocialLogin>,
    Path(provider): Path<String>,
    mut client: Client,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let provider = social.provider(&provider)?;
    if let Transport::Body = client.transport {
        // Without this header, nothing has checked which site the request comes from.
        let detail = "Send `Token-Transport: cookie`, from a page of this service.";
        let status = StatusCode::BAD_REQUEST;
        return Err(Problem::new(status, "invalid_request", detail));
    }
    let ClientIp(ip) = client.ip;
    let refused = |refusal: Refusal| {
        refusal.log(&provider.id, ip);
        Problem::from(refusal)
    };
    let secret = answer::secret(&headers).ok_or_else(|| refused(Refusal::Over))?;
    let proved = social.proved.take(&provider.id, &secret).await?;
    let proved = proved.ok_or_else(|| refused(Refusal::Over))?;
    let user = social.logins.users.active(&proved.user_id).await?;
    let user = user.filter(|user| user.version == proved.version);
    let user = user.ok_or_else(|| refused(Refusal::NoAccount("changed")))?;
    let since = Duration::from_secs(proved.auth_time.max(0).unsigned_abs());
    client.auth_time = Some(UNIX_EPOCH + since);
    let answer = social.logins.proceed(&user, &client, &[AMR]).await?;
    Ok((answer::remove(), answer).into_response())
}
