//! `/auth/api-keys`: a user creates, lists and revokes API keys. A key cannot do this itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tower_jwt_auth::credential::api_keys::ApiKey;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::verifier::granted;
use super::{MAX_KEYS, UserKeys};
use crate::accounts::User;
use crate::app::{App, RequireToken};
use crate::outbox::{Notice, Outbox};
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};
use crate::times::seconds;
use crate::typed::{PathId, trimmed};

/// The lifetime of a key in days, if the request does not name one.
const DEFAULT_DAYS: u16 = 90;
/// The longest lifetime of a key in days. A forgotten key must end some day.
const MAX_DAYS: u16 = 366;
const MAX_LABEL_CHARS: usize = 100;

const CREATED: Notice = Notice {
    kind: "api_key_created",
    subject: "A new API key",
    text: "An API key has just been created for your account. Whoever has it can use the\n\
           service in your name.\n\n\
           If this was not you, log in, revoke the key, and choose a new password:",
};

/// Returns the routes of this chapter. They need a session.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
        .route_layer(token.clone())
}

/// A key as its owner sees it. Times are seconds since 1970.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct Key {
    id: String,
    label: String,
    /// What the key allows now. Scopes that the user has lost are missing.
    scopes: Vec<String>,
    created_at: i64,
    expires_at: Option<i64>,
    /// The minute of the last use.
    last_used_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
struct Keys {
    /// The newest comes first.
    keys: Vec<Key>,
    /// How many keys the user may have.
    limit: u32,
    /// The scopes that a new key may have.
    scopes: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyRequest)]
struct Request {
    current_password: String,
    /// Which program the key is for.
    label: String,
    /// What the key should allow: scopes that the user has.
    #[serde(default)]
    scopes: Vec<String>,
    /// The lifetime of the key in days: 90 by default, 366 at most.
    expires_in_days: Option<u16>,
}

/// A new key. It is not `Debug`, because it contains the secret.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
struct New {
    /// The key. It is shown only once, because it is not stored.
    key: String,
    #[serde(flatten)]
    about: Key,
}

/// Lists the API keys of the user.
#[utoipa::path(
    get,
    operation_id = "list_api_keys",
    path = "/auth/api-keys",
    tag = "API keys",
    responses((status = 200, description = "The keys of the user, without their secrets", body = Keys)),
    security(("bearer" = []))
)]
async fn list(
    State(keys): State<UserKeys>,
    Caller { user, .. }: Caller,
) -> Result<Json<Keys>, Problem> {
    Ok(Json(Keys {
        keys: keys.of(&user).await?,
        limit: MAX_KEYS,
        scopes: user.scopes.split_whitespace().map(str::to_owned).collect(),
    }))
}

/// Creates an API key.
///
/// The password is asked for again, so that a stolen token cannot make something that outlives it (OWASP
/// ASVS 5.0 V7.5.1).
#[utoipa::path(
    post,
    operation_id = "create_api_key",
    path = "/auth/api-keys",
    tag = "API keys",
    request_body = Request,
    responses((status = 201, description = "The key, which is shown only once", body = New)),
    security(("bearer" = []))
)]
async fn create(
    State(keys): State<UserKeys>,
    State(outbox): State<Outbox>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<New>), Problem> {
    let label = checked_label(&request.label)?;
    let lifetime = lifetime(request.expires_in_days)?;
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    let user = &caller.user;
    let scopes = checked_scopes(request.scopes, user)?;
    let key = keys.keys.create(&*user.id).label(label);
    // If the client is gone before this ends, the crate deletes the key, because nobody knows its text.
    let made = key.scopes(scopes).expires_in(lifetime).issue().await?;
    outbox.tell(user, CREATED);
    // The user may have been disabled in between. This key must not outlive that.
    let same = keys.users.active(&user.id).await?;
    if same.is_none_or(|now| now.version != user.version) {
        keys.keys.revoke_owned_by(&user.id, made.id()).await?;
        let detail = "The account was changed elsewhere at the same time. Try again.";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
    }
    Ok((
        StatusCode::CREATED,
        Json(New {
            key: made.text().to_owned(),
            about: Key::of(made.description(), user),
        }),
    ))
}

/// Revokes an API key.
///
/// An id of another user is refused like an unknown one.
#[utoipa::path(
    delete,
    operation_id = "revoke_api_key",
    path = "/auth/api-keys/{id}",
    tag = "API keys",
    params(("id" = String, Path, description = "The id from the list")),
    responses((status = 204, description = "Revoked")),
    security(("bearer" = []))
)]
async fn revoke(
    State(keys): State<UserKeys>,
    id: PathId,
    Caller { user, .. }: Caller,
) -> Result<StatusCode, Problem> {
    if !keys.keys.revoke_owned_by(&user.id, id.as_str()).await? {
        let detail = "You have no API key with this id.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    Ok(StatusCode::NO_CONTENT)
}

// === impl UserKeys ===

impl UserKeys {
    /// Returns the keys of a user, including expired ones. The newest comes first.
    pub(crate) async fn of(&self, user: &User) -> Result<Vec<Key>, Problem> {
        let keys = self.keys.list(&user.id).await?;
        Ok(keys.iter().map(|key| Key::of(key, user)).collect())
    }
}

// === impl Key ===

impl Key {
    fn of(key: &ApiKey, user: &User) -> Self {
        let scopes = granted(key.scopes.iter().map(String::as_str), user);
        Self {
            id: key.id.clone(),
            label: key.label.clone().unwrap_or_default(),
            scopes: scopes.map(str::to_owned).collect(),
            created_at: unix(key.created_at),
            expires_at: key.expires_at.map(unix),
            last_used_at: key.last_used_at.map(unix),
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    seconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn checked_label(label: &str) -> Result<&str, Problem> {
    let label = trimmed(label);
    let good = (1..=MAX_LABEL_CHARS).contains(&label.chars().count())
        && !label.chars().any(char::is_control);
    if !good {
        let detail = "The label must have 1 to 100 characters, such as the name of the program.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_label", detail));
    }
    Ok(label)
}

fn lifetime(days: Option<u16>) -> Result<Duration, Problem> {
    let days = days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let detail = "`expires_in_days` must be between 1 and 366.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_lifetime", detail));
    }
    Ok(Duration::from_secs(u64::from(days) * 24 * 3600))
}

/// Removes duplicates, and refuses scopes that the user does not have.
fn checked_scopes(mut scopes: Vec<String>, user: &User) -> Result<Vec<String>, Problem> {
    scopes.sort();
    scopes.dedup();
    if !scopes.iter().all(|scope| user.has_scope(scope)) {
        let detail = "A key cannot have a scope that you do not have yourself.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_scope", detail));
    }
    Ok(scopes)
}
