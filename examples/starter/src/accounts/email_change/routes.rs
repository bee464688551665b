//! `/auth/email/change`: a user moves the account to another address.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Begun, EmailChange, Side};
use crate::accounts::proof::{Claimant, Proved};
use crate::accounts::reset_password::invalid_link;
use crate::accounts::{Accounts, invalid_email};
use crate::app::App;
use crate::error::with_causes;
use crate::finish::finish;
use crate::limits::ClientIp;
use crate::operations::digest;
use crate::outbox::{Notice, Notification, Outbox};
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};
use crate::typed::{Email, LinkSecret};

/// What the log says of links of this kind.
const CHANGE: &str = "change_email";

const CHANGED: Notice = Notice {
    kind: "email_changed",
    subject: "The address of your account was changed",
    text: "The email address of your account was changed just now. From now on, log in\n\
           with the new one:",
};

/// Returns the routes that need a session.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(pending, begin, cancel))
}

/// Returns the routes that links lead to.
pub(crate) fn link_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(confirm))
        .routes(routes!(stop))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = EmailChangeRequest)]
struct Request {
    current_password: String,
    new_email: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = EmailChangeLink)]
struct Link {
    token: String,
}

/// A change of the address that waits for links to be confirmed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PendingEmailChange)]
pub(crate) struct Pending {
    new_email: String,
    new_confirmed: bool,
    old_confirmed: bool,
    /// Seconds since 1970.
    expires_at: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EmailChange)]
struct Status {
    /// `null` if no change is under way.
    pending: Option<Pending>,
}

/// How far a change has come.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailChangeProgress)]
struct Progress {
    /// Whether the account has the new address now. If not, the other address has to confirm too.
    changed: bool,
}

#[utoipa::path(
    get,
    operation_id = "email_change",
    path = "/auth/email/change",
    tag = "accounts",
    responses((status = 200, description = "The change that is under way, if any", body = Status)),
    security(("bearer" = []))
)]
async fn pending(
    State(accounts): State<Accounts>,
    Caller { user, .. }: Caller,
) -> Result<Json<Status>, Problem> {
    let change = accounts.email_changes.of(&user.id).await?;
    Ok(Json(Status {
        pending: change.map(Pending::of),
    }))
}

/// Sends a link to each address. Whether the new one has an account is not told: its owner learns of the
/// request, and nothing else happens.
#[utoipa::path(
    post,
    operation_id = "begin_email_change",
    path = "/auth/email/change",
    tag = "accounts",
    request_body = Request,
    responses((status = 202, description = "A link is on its way to both addresses")),
    security(("bearer" = []))
)]
async fn begin(
    State(accounts): State<Accounts>,
    State(outbox): State<Outbox>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<Request>,
) -> Result<StatusCode, Problem> {
    let email = Email::parse(&request.new_email).ok_or_else(invalid_email)?;
    if !caller.user.email_verified {
        let detail = "Confirm your email address first, by the link that was sent to it.";
        let status = StatusCode::FORBIDDEN;
        return Err(Problem::new(status, "email_not_confirmed", detail));
    }
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    if email.as_str() == caller.user.email {
        let detail = "That is the address that the account has already.";
        return Err(Problem::new(StatusCode::CONFLICT, "same_email", detail));
    }
    finish(async move {
        let (changes, user) = (&accounts.email_changes, &caller.user);
        let change = match changes.begin(user, &email, caller.session()).await? {
            Begun::Yes(change) => change,
            Begun::TooMany(wait) => {
                let detail = "Too many changes. `Retry-After` says when to try again.";
                return Err(Problem::too_many(detail, wait));
            }
            Begun::SomebodyElse => return Err(conflict()),
        };
        tracing::info!(event = "email_change_begun", user = digest(&user.id));
        for (side, to) in [(Side::New, email), (Side::Old, user.address())] {
            let change = change.clone();
            outbox.post(Notification::ChangeEmail { to, change, side });
        }
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

#[utoipa::path(
    delete,
    operation_id = "cancel_email_change",
    path = "/auth/email/change",
    tag = "accounts",
    responses((status = 204, description = "No change is under way any more")),
    security(("bearer" = []))
)]
async fn cancel(
    State(accounts): State<Accounts>,
    Caller { user, .. }: Caller,
) -> Result<StatusCode, Problem> {
    if accounts.email_changes.cancel(&user.id).await? {
        tracing::info!(event = "email_change_stopped", user = digest(&user.id));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// For the link to either address. With the second one, the account has the new address, and the sessions
/// end but for the one that has asked for the change.
#[utoipa::path(
    post,
    operation_id = "confirm_email_change",
    path = "/auth/email/change/confirm",
    tag = "accounts",
    request_body = Link,
    responses((status = 200, description = "It is noted, or done", body = Progress))
)]
async fn confirm(
    State(accounts): State<Accounts>,
    State(outbox): State<Outbox>,
    client: ClientIp,
    Json(request): Json<Link>,
) -> Result<Json<Progress>, Problem> {
    let link = LinkSecret::parse(&request.token).ok_or_else(|| invalid_link(client, CHANGE))?;
    finish(async move {
        let confirmed = accounts.email_changes.confirm(link.as_str());
        let Some(change) = confirmed.await? else {
            return Err(invalid_link(client, CHANGE));
        };
        let changed = change.is_confirmed();
        if changed && !accounts.change_email(&change, &outbox).await? {
            return Err(invalid_link(client, CHANGE));
        }
        Ok(Json(Progress { changed }))
    })
    .await
}

/// For whoever did not ask for the change, at either address. The account stays as it is.
#[utoipa::path(
    post,
    operation_id = "stop_email_change",
    path = "/auth/email/change/stop",
    tag = "accounts",
    request_body = Link,
    responses((status = 204, description = "The change does not happen"))
)]
async fn stop(
    State(accounts): State<Accounts>,
    client: ClientIp,
    Json(request): Json<Link>,
) -> Result<StatusCode, Problem> {
    let link = LinkSecret::parse(&request.token).ok_or_else(|| invalid_link(client, CHANGE))?;
    match accounts.email_changes.stop(link.as_str()).await? {
        Some(user) => {
            tracing::warn!(event = "email_change_stopped", user = digest(&user));
            Ok(StatusCode::NO_CONTENT)
        }
        None => Err(invalid_link(client, CHANGE)),
    }
}

// === impl Accounts ===

impl Accounts {
    /// Gives the account its new address, after both links. Returns whether it has it now.
    async fn change_email(&self, change: &EmailChange, outbox: &Outbox) -> Result<bool, Problem> {
        let Some(user) = self.users.active(&change.user_id).await? else {
            return Ok(false);
        };
        let others = || self.sessions.end_others(&user.id, &change.session_id);
        // Before anything changes: if they cannot be ended, the links are still good.
        others().await?;
        let (email, claimant) = (
            Email::stored(&change.email),
            Claimant::User(user.id.clone()),
        );
        let proved = self.prove_change(&change.id, &email, claimant);
        let Proved::First(moved) = proved.await? else {
            return Ok(false);
        };
        tracing::info!(event = "email_changed", user = digest(&user.id));
        for told in [&user, &moved] {
            outbox.tell(told, CHANGED);
        }
        // What was opened in between, with the old address. The change is done, whatever becomes of this.
        if let Err(error) = others().await {
            let error = with_causes(&error);
            tracing::error!(
                error,
                "sessions from before the change of address may go on"
            );
        }
        Ok(true)
    }
}

// === impl Pending ===

impl Pending {
    pub(crate) fn of(change: EmailChange) -> Self {
        Self {
            new_email: change.email,
            new_confirmed: change.new_confirmed,
            old_confirmed: change.old_confirmed,
            expires_at: change.expires_at,
        }
    }
}

fn conflict() -> Problem {
    let detail = "The account was changed by somebody else just now. Try again.";
    Problem::new(StatusCode::CONFLICT, "conflict", detail)
}
