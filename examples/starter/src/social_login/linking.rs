//! `/auth/logins`: the logins at providers that are linked to the account.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::begun::LIFETIME;
use super::links::Removed;
use super::{SocialLogin, answer};
use crate::finish::finish;
use crate::limits::ClientIp;
use crate::operations::digest;
use crate::outbox::Notification;
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};

/// Proves that the caller is the user, and not somebody who has found an open page.
#[derive(Deserialize, ToSchema)]
pub(super) struct FreshProof {
    /// The password. An account without one needs a login that is at most ten minutes old instead.
    #[serde(default)]
    current_password: String,
}

/// The logins that are linked to the account.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedLogins {
    logins: Vec<LinkedLogin>,
    /// Whether the account has a password as well.
    has_password: bool,
}

/// A login that is linked to the account. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
struct LinkedLogin {
    /// The name of the provider in paths.
    provider: String,
    /// The name of the provider for people.
    name: String,
    linked_at: i64,
    /// When it was last used to log in, or `null`.
    used_at: Option<i64>,
}

/// Where to send the browser next.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    location: String,
}

/// Lists the logins that are linked to the account.
#[utoipa::path(
    get,
    operation_id = "list_linked_logins",
    path = "/auth/logins",
    tag = "account",
    responses((status = 200, description = "The linked logins", body = LinkedLogins)),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(social): State<SocialLogin>,
    Caller { user, .. }: Caller,
) -> Result<Json<LinkedLogins>, Problem> {
    let providers = &social.providers;
    let links = social.links.of(&user.id).await?;
    let logins = links.into_iter().filter_map(|link| {
        let mut providers = providers.iter();
        let provider = providers.find(|provider| provider.issuer == link.issuer)?;
        Some(LinkedLogin {
            provider: provider.id.clone(),
            name: provider.name.clone(),
            linked_at: link.linked_at,
            used_at: link.used_at,
        })
    });
    Ok(Json(LinkedLogins {
        logins: logins.collect(),
        has_password: user.has_password(),
    }))
}

/// Begins to link a login.
///
/// The response sets the cookie `__Host-login`. Then send the browser to `location`.
#[utoipa::path(
    post,
    operation_id = "link_login",
    path = "/auth/logins/{provider}",
    tag = "account",
    params(("provider" = String, Path)),
    request_body = FreshProof,
    responses((status = 200, description = "Where to log in", body = Begun)),
    security(("bearer" = []))
)]
pub(super) async fn link(
    State(social): State<SocialLogin>,
    State(reauthentication): State<Reauthentication>,
    client: ClientIp,
    Path(provider): Path<String>,
    caller: Caller,
    Json(proof): Json<FreshProof>,
) -> Result<Response, Problem> {
    let provider = social.provider(&provider)?;
    reauthentication
        .check(&caller, &proof.current_password)
        .await?;
    let who = Some((caller.user.id.as_str(), caller.user.version));
    let (location, started) = social.begin(provider, client, false, who).await?;
    let cookie = answer::keep(&started.verifier, LIFETIME)?;
    Ok((cookie, Json(Begun { location })).into_response())
}

/// Unlinks a login, and ends the other sessions.
///
/// A user may unlink a login because somebody else can use it.
#[utoipa::path(
    post,
    operation_id = "unlink_login",
    path = "/auth/logins/{provider}/remove",
    tag = "account",
    params(("provider" = String, Path)),
    request_body = FreshProof,
    responses((status = 204, description = "Unlinked; the other sessions have ended")),
    security(("bearer" = []))
)]
pub(super) async fn unlink(
    State(social): State<SocialLogin>,
    State(reauthentication): State<Reauthentication>,
    Path(provider): Path<String>,
    caller: Caller,
    Json(proof): Json<FreshProof>,
) -> Result<StatusCode, Problem> {
    let provider = social.provider(&provider)?.clone();
    reauthentication
        .check(&caller, &proof.current_password)
        .await?;
    finish(async move {
        let user = &caller.user;
        let providers = social.providers.iter();
        let usable: Vec<String> = providers.map(|one| one.issuer.clone()).collect();
        let removed = social.links.remove(&user.id, &provider.issuer, &usable);
        match removed.await? {
            Removed::Yes => {}
            Removed::NotThere => {
                let detail = "No login at this provider is linked to the account.";
                return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
            }
            Removed::LastWay => {
                let detail =
                    "There is no other way to log in to the account. Set a password first.";
                return Err(Problem::new(StatusCode::CONFLICT, "last_login", detail));
            }
        }
        tracing::info!(
            event = "login_unlinked",
            user = digest(&user.id),
            provider = provider.id
        );
        social.outbox.post(Notification::LoginUnlinked {
            email: user.address(),
            provider: provider.name.clone(),
        });
        let sessions = &social.sessions;
        sessions.end_others(&user.id, caller.session()).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
