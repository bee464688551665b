//! [`App`]: what all handlers share, put together once.

use std::time::Duration;

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::revocation::CachedRevocations;
use tower_jwt_auth::{PasswordService, TokenIssuer};

use crate::refresh_tokens::UsedRefreshTokens;
use crate::revocations::SqliteRevocations;
use crate::{Database, Error, Users};

/// How long SQLite may take to say whether a token is revoked; more than its busy timeout.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// The service behind the routes; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) tokens: TokenIssuer,
    pub(crate) passwords: PasswordService,
    pub(crate) users: Users,
    pub(crate) used_refresh_tokens: UsedRefreshTokens,
    database: Database,
}

// === impl App ===

impl App {
    /// Opens the database and reads the keys.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be meant, or a database that cannot be opened.
    pub async fn open(auth: &AuthConfig, database_url: &str) -> Result<Self, Error> {
        let passwords = auth.password_service()?;
        let tokens = auth.issuer()?;
        let database = Database::open(database_url).await?;
        let revocations = SqliteRevocations::new(database.clone());
        Ok(Self {
            tokens: tokens
                .revocation(CachedRevocations::new(revocations).timeout(REVOCATION_TIMEOUT))
                .build()?,
            passwords,
            users: Users::new(database.clone()),
            used_refresh_tokens: UsedRefreshTokens::new(database.clone()),
            database,
        })
    }

    /// The users, for commands and tests.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Closes the database. Requests that still come are answered with 503.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
