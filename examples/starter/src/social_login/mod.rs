//! Login at a provider: any OpenID Connect issuer, and GitHub. It is on if a variable `LOGIN_..._ISSUER` is
//! set.
//!
//! Needs accounts (who owns an address), sessions (which a login opens) and limits. To remove this chapter,
//! see `docs/removing.md`, chapter `social-login`.
//!
//! `tower-jwt-auth` verifies ID tokens, and not the crate `openidconnect`, which reads a provider's keys
//! once, leaves rotation and outages to its caller, and would add a second cryptography library.

mod account;
mod answer;
mod begun;
mod callback;
mod exchange;
mod github;
mod linking;
mod links;
mod login;
mod metadata;
mod openid;
mod password;
mod proved;
mod provider;
mod refusal;
mod settings;

pub use settings::{ProviderKind, ProviderSettings};

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use sqlx::Result as SqlResult;
use tower_jwt_auth::Sessions;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::begun::Begun;
pub(crate) use self::links::StoredLink;

use self::links::Links;
use self::proved::ProvedLogins;
use self::provider::Provider;
use crate::accounts::Accounts;
use crate::app::{App, RequireToken};
use crate::database::Database;
use crate::error::Error;
use crate::http;
use crate::outbox::Outbox;
use crate::problem::Problem;
use crate::sessions::Logins;

/// How long a provider may take for one response. A login makes up to four requests.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The providers, and the logins that have begun. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SocialLogin {
    providers: Arc<[Provider]>,
    begun: Begun,
    proved: ProvedLogins,
    links: Links,
    accounts: Accounts,
    logins: Logins,
    outbox: Outbox,
    sessions: Sessions,
}

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    let with_token = OpenApiRouter::new()
        .routes(routes!(linking::list))
        .routes(routes!(linking::link))
        .routes(routes!(linking::unlink))
        .routes(routes!(password::set))
        .route_layer(token.clone());
    OpenApiRouter::new()
        .routes(routes!(login::providers))
        .routes(routes!(login::start))
        .routes(routes!(callback::callback))
        .routes(routes!(login::finish))
        .merge(with_token)
}

// === impl SocialLogin ===

impl SocialLogin {
    /// Returns the logins at providers that are stored for a user.
    pub(crate) async fn stored(&self, user: &str) -> sqlx::Result<Vec<StoredLink>> {
        self.links.stored(user).await
    }

    /// Sets up the providers. They send browsers back to `public_url`.
    pub(crate) fn new(
        settings: &[ProviderSettings],
        public_url: &str,
        database: &Database,
        accounts: &Accounts,
        logins: &Logins,
        outbox: &Outbox,
    ) -> Result<Self, Error> {
        settings::check(settings)?;
        let client = http::client(TIMEOUT)?;
        let providers = settings
            .iter()
            .map(|settings| Provider::new(settings, &client, public_url));
        Ok(Self {
            providers: providers.collect::<Result<Arc<[_]>, _>>()?,
            begun: Begun::new(database.clone()),
            proved: ProvedLogins::new(database.clone()),
            links: Links::new(database.clone()),
            accounts: accounts.clone(),
            sessions: logins.sessions.clone(),
            logins: logins.clone(),
            outbox: outbox.clone(),
        })
    }

    fn provider(&self, id: &str) -> Result<&Provider, Problem> {
        let found = self.providers.iter().find(|provider| provider.id == id);
        found.ok_or_else(|| {
            let detail =
                "No provider with this name is configured; `GET /auth/providers` lists them.";
            Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
        })
    }

    /// Removes at most `limit` expired logins of each kind, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> SqlResult<u64> {
        Ok(self.begun.clean_up(limit).await? + self.proved.clean_up(limit).await?)
    }
}
