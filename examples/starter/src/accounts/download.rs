//! `GET /auth/account/download`: everything that the service stores about a user, in one file.
//!
//! The file contains no secrets: no hashes, no secrets of second factors, and no links, codes or keys. A
//! chapter that stores something about users adds a field to [`Download`].

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _; // chapter: avatars
use base64::engine::general_purpose::STANDARD; // chapter: avatars
use serde::Serialize;
use sqlx::{FromRow, Result as SqlResult};
use tower_jwt_auth::{AuthError, AuthErrorKind, Sessions};
use utoipa::ToSchema;

use super::Accounts;
use super::email_change::Pending;
use super::users::User;
use crate::api_keys::{Key, UserKeys}; // chapter: api-keys
use crate::avatars::Avatars; // chapter: avatars
use crate::database::on_pool;
use crate::operations::digest;
use crate::passkeys::{self, Passkeys}; // chapter: passkeys
use crate::problem::Problem;
use crate::second_factor::{Factors, Stored}; // chapter: second-factor
use crate::sessions::{Caller, Session, of_user};
use crate::social_login::{SocialLogin, StoredLink}; // chapter: social-login
use crate::times::now;

/// How many places of logins are listed, the latest first.
const MAX_PLACES: i64 = 1000;

/// Everything that is stored about a user. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountDownload)]
pub(super) struct Download {
    downloaded_at: i64,
    account: Account,
    email_change: Option<Pending>,
    sessions: Vec<Session>,
    places: Vec<Place>,
    second_factors: Vec<Stored>, // chapter: second-factor
    recovery_codes_left: i64,    // chapter: second-factor
    // chapter: avatars {
    /// A PNG file in base64.
    avatar: Option<String>,
    // chapter: avatars }
    api_keys: Vec<Key>,              // chapter: api-keys
    passkeys: Vec<passkeys::Listed>, // chapter: passkeys
    linked_logins: Vec<StoredLink>,  // chapter: social-login
}

#[derive(Serialize, FromRow, ToSchema)]
struct Account {
    id: String,
    email: String,
    email_verified: bool,
    /// Separated by spaces.
    scopes: String,
    created_at: i64,
}

/// A place that logins and password checks came from within the last 30 days.
#[derive(Serialize, FromRow, ToSchema)]
#[schema(as = LoginPlace)]
struct Place {
    /// An IP address, a digest of a session, or empty for all unknown addresses together.
    place: String,
    /// Consecutive failures.
    failures: i64,
    last_tried_at: i64,
    /// `null` if no login from there has succeeded.
    last_succeeded_at: Option<i64>,
}

/// Downloads everything that is stored about the user, as one JSON file.
#[utoipa::path(
    get,
    operation_id = "download_account",
    path = "/auth/account/download",
    tag = "accounts",
    responses((status = 200, description = "Everything stored about the user", body = Download)),
    security(("bearer" = []))
)]
#[allow(clippy::too_many_arguments)] // one for each chapter that stores something about users
pub(super) async fn download(
    State(accounts): State<Accounts>,
    State(sessions): State<Sessions>,
    State(factors): State<Factors>,    // chapter: second-factor
    State(avatars): State<Avatars>,    // chapter: avatars
    State(keys): State<UserKeys>,      // chapter: api-keys
    State(passkeys): State<Passkeys>,  // chapter: passkeys
    State(social): State<SocialLogin>, // chapter: social-login
    Caller { user, token }: Caller,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Download>), Problem> {
    let account = accounts.stored(&user).await?;
    let change = accounts.email_changes.of(&user.id).await?;
    let avatar = avatars.of(&user.id).await?; // chapter: avatars
    let download = Download {
        downloaded_at: now(),
        account: account.ok_or(AuthError::new(AuthErrorKind::Revoked))?,
        email_change: change.map(Pending::of),
        sessions: of_user(&sessions, &token).await?,
        places: accounts.places(&user).await?,
        second_factors: factors.stored(&user.id).await?, // chapter: second-factor
        recovery_codes_left: factors.recovery_codes.count(&user.id).await?, // chapter: second-factor
        avatar: avatar.map(|avatar| STANDARD.encode(avatar)),               // chapter: avatars
        passkeys: passkeys.of(&user.id).await?,                             // chapter: passkeys
        linked_logins: social.stored(&user.id).await?,                      // chapter: social-login
        api_keys: keys.of(&user).await?,                                    // chapter: api-keys
    };
    tracing::info!(event = "account_downloaded", user = digest(&user.id));
    let name = HeaderValue::from_static("attachment; filename=\"account.json\"");
    Ok(([(CONTENT_DISPOSITION, name)], Json(download)))
}

// === impl Accounts ===

impl Accounts {
    async fn stored(&self, user: &User) -> SqlResult<Option<Account>> {
        let query = "SELECT id, email, email_verified, scopes, created_at FROM users WHERE id = $1";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(&user.id).fetch_optional(pool).await
        })
    }

    /// Returns the places that attempts to log in to an account came from.
    async fn places(&self, user: &User) -> SqlResult<Vec<Place>> {
        let query = "SELECT place, failures, failed_at AS last_tried_at, \
                         nullif(known_at, 0) AS last_succeeded_at FROM login_failures \
                     WHERE account = $1 ORDER BY failed_at DESC, place LIMIT $2";
        on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(super::digest(&user.email));
            query.bind(MAX_PLACES).fetch_all(pool).await
        })
    }
}
