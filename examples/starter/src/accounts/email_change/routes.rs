//! `/auth/email/change`: a user changes the email address of the account.

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

/// The name of these links in the log.
const CHANGE: &str = "change_email";

const CHANGED: Notice = Notice {
    kind: "email_changed",
    subject: "Your email address was changed",
    text: "The email address of your account has just been changed. From now on, log in\n\
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

/// A change of the address whose links are not both confirmed yet.
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
    /// `null` if no change is pending.
    pending: Option<Pending>,
}

/// The progress of a change.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailChangeProgress)]
struct Progress {
    /// Whether the account has its new address now. If not, the link to the other address must be confirmed
    /// as well.
    changed: bool,
}

/// Returns the pending change of the email address.
#[utoipa::path(
    get,
    operation_id = "email_change",
    path = "/auth/email/change",
    tag = "accounts",
    responses((status = 200, description = "The pending change, if any", body = Status)),
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

/// Begins a change of the email address, and sends a link to both addresses.
///
/// The response does not tell whether the new address has an account. If it has, its owner gets an email,
/// and nothing else happens.
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
        let detail = "Confirm your email address first: open the link in our email.";
        let status = StatusCode::FORBIDDEN;
        return Err(Problem::new(status, "email_not_confirmed", detail));
    }
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    if email.as_str() == caller.user.email {
        let detail = "The account already has this email address.";
        return Err(Problem::new(StatusCode::CONFLICT, "same_email", detail));
    }
    finish(async move {
        let (changes, user) = (&accounts.email_changes, &caller.user);
        let change = match changes.begin(user, &email, caller.session()).await? {
            Begun::Yes(change) => change,
            Begun::TooMany(wait) => {
                let detail =
                    "Too many changes of the address. `Retry-After` says when to try again.";
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

/// Cancels the pending change of the email address.
#[utoipa::path(
    delete,
    operation_id = "cancel_email_change",
    path = "/auth/email/change",
    tag = "accounts",
    responses((status = 204, description = "Canceled")),
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

/// Confirms a change with the link to either address.
///
/// With the second link, the account gets the new address, and all sessions end except the one that asked
/// for the change.
#[utoipa::path(
    post,
    operation_id = "confirm_email_change",
    path = "/auth/email/change/confirm",
    tag = "accounts",
    request_body = Link,
    responses((status = 200, description = "Confirmed; `changed` tells whether the address has changed", body = Progress))
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

/// Stops a change with the link to either address, for somebody who did not ask for it.
#[utoipa::path(
    post,
    operation_id = "stop_email_change",
    path = "/auth/email/change/stop",
    tag = "accounts",
    request_body = Link,
    responses((status = 204, description = "Stopped"))
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
    /// Gives the account its new address if both links are confirmed. Returns whether the account has it
    /// now.
    async fn change_email(&self, change: &EmailChange, outbox: &Outbox) -> Result<bool, Problem> {
        let Some(user) = self.users.active(&change.user_id).await? else {
            return Ok(false);
        };
        let others = || self.sessions.end_others(&user.id, &change.session_id);
        // Comes first, so that the links are still valid if the sessions cannot be ended.
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
        // Ends sessions that were opened in between with the old address. The change stays, even if this
        // fails.
        if let Err(error) = others().await {
            let error = with_causes(&error);
            tracing::error!(
                error,
                "the email address was changed, but sessions from before could not be ended"
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
    let detail = "The account was changed elsewhere at the same time. Try again.";
    Problem::new(StatusCode::CONFLICT, "conflict", detail)
}
