//! What is set from outside, and what holds where nothing is set.

use std::env;
use std::path::Path;
use std::time::Duration;

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::issuer::{DEFAULT_ROTATION_GRACE, DEFAULT_SESSION_IDLE_TTL};

use crate::{Error, Operations, development};

/// Where the database and the development key live if nothing else is said.
const DATA_FOLDER: &str = "starter-data";
const DEFAULT_DATABASE_URL: &str = "sqlite:starter-data/starter.sqlite";
/// This machine only: whoever wants to serve others says so.
const DEFAULT_BIND_ADDRESS: &str = "127.0.0.1:3000";

/// The configuration of the service. It has no `Debug`: the URLs may hold passwords.
#[derive(Clone)]
#[allow(missing_debug_implementations)]
pub struct Settings {
    /// Where to listen; with port 0 the system chooses one.
    pub bind_address: String,
    /// The database of the users: a file of SQLite, or a server of PostgreSQL.
    pub database_url: String,
    /// The Redis for sessions and revocations, if they are not to be in the database.
    pub redis_url: Option<String>,
    /// Keys, lifetimes and costs.
    pub auth: AuthConfig,
    /// How long a session lasts unused, and an old refresh token.
    pub sessions: SessionSettings,
    /// How the service is reached and watched.
    pub operations: Operations,
    /// Whether the key is the one for development.
    pub development: bool,
}

/// How sessions end that nobody ends.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// After which time without a refresh a session ends.
    pub idle_ttl: Duration,
    /// For how long the last refresh token is still good, for two tabs that refresh at once.
    pub rotation_grace: Duration,
}

// === impl SessionSettings ===

impl SessionSettings {
    fn from_env() -> Result<Self, Error> {
        let default = Self::default();
        Ok(Self {
            idle_ttl: seconds("SESSION_IDLE_TTL")?.unwrap_or(default.idle_ttl),
            rotation_grace: seconds("SESSION_ROTATION_GRACE")?.unwrap_or(default.rotation_grace),
        })
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle_ttl: DEFAULT_SESSION_IDLE_TTL,
            rotation_grace: DEFAULT_ROTATION_GRACE,
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Reads the environment. If no `JWT_*` variable is set, a key for development is made and
    /// kept in a file, so that tokens outlive a restart.
    ///
    /// # Errors
    ///
    /// A variable that cannot be meant, or a data folder that cannot be written.
    pub fn from_env() -> Result<Self, Error> {
        let operations = Operations::from_env()?;
        operations.check()?;
        let development = AuthConfig::env_is_empty();
        let auth = Self::auth_from_env()?;
        Ok(Self {
            bind_address: variable("BIND_ADDR")?.unwrap_or_else(|| DEFAULT_BIND_ADDRESS.to_owned()),
            database_url: Self::database_url_from_env()?,
            redis_url: variable("REDIS_URL")?,
            auth,
            sessions: SessionSettings::from_env()?,
            operations,
            development,
        })
    }

    /// The keys alone, for commands that need no database.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn auth_from_env() -> Result<AuthConfig, Error> {
        if AuthConfig::env_is_empty() {
            return development::config(Path::new(DATA_FOLDER));
        }
        Ok(AuthConfig::from_env()?)
    }

    /// The database alone, for commands that need no key.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn database_url_from_env() -> Result<String, Error> {
        if let Some(url) = variable("DATABASE_URL")? {
            return Ok(url);
        }
        development::data_folder(Path::new(DATA_FOLDER))?;
        Ok(DEFAULT_DATABASE_URL.to_owned())
    }
}

fn seconds(name: &str) -> Result<Option<Duration>, Error> {
    let number = |text: String| {
        text.parse()
            .map(Duration::from_secs)
            .map_err(|_| format!("{name} must be a whole number of seconds").into())
    };
    variable(name)?.map(number).transpose()
}

/// A variable that is empty counts as one that is not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not text").into()),
    }
}
