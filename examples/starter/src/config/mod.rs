//! Configuration: the environment variables and their defaults.
//!
//! [`production`] refuses settings that are only for development. `docs/configuration.md` lists the
//! variables. Cannot be removed.

pub(crate) mod dangerous;
mod development;
mod in_clear;
mod operations;
mod origin;
pub(crate) mod production;
mod variables;

pub(crate) use development::data_folder;
pub(crate) use in_clear::is_this_machine;
pub use operations::MetricsPlace; // chapter: metrics
pub use operations::Operations;
pub use origin::Origin;
pub(crate) use variables::{parsed, variable};

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::sessions::{DEFAULT_IDLE_TTL, DEFAULT_ROTATION_GRACE};

use self::variables::{flag, seconds};
use crate::email::MailSettings;
use crate::error::Error;
use crate::keys::SealingKeys; // chapter: second-factor
use crate::limits::TrustedProxies;
use crate::passwords::PasswordSettings;
use crate::sms::SmsSettings; // chapter: sms
use crate::social_login::ProviderSettings; // chapter: social-login
use crate::storage::StorageSettings; // chapter: avatars

/// The default folder of the database and the development keys.
const DATA_FOLDER: &str = "data";
const DEFAULT_DATABASE_URL: &str = "sqlite:data/service.sqlite";
/// By default, the service listens only on this machine. To serve others, set `BIND_ADDR`.
const DEFAULT_BIND_ADDRESS: &str = "127.0.0.1:3000";

/// Far more than a person needs, and far too few to guess a password.
const DEFAULT_RATE_LIMIT: u32 = 60;

/// The configuration of the service. It is not `Debug`, because the URLs may contain passwords.
#[derive(Clone)]
#[allow(missing_debug_implementations)]
pub struct Settings {
    /// The address to listen on. With port 0, the operating system chooses one.
    pub bind_address: String,
    /// The database: a SQLite file, or a PostgreSQL server.
    pub database_url: String,
    /// The Redis server for sessions, revocations, used proofs and rate limits. With `None`, each process counts rate
    /// limits by itself, and the rest is in the database.
    pub redis_url: Option<String>,
    /// Keys, lifetimes and costs.
    pub auth: AuthConfig,
    /// When unused sessions end, how long a replaced refresh token is accepted, and whether tokens may be bound to
    /// keys.
    pub sessions: SessionSettings,
    /// Hashes passwords. A test suite may use weaker parameters, to be fast.
    pub passwords: PasswordService,
    /// The policy for new passwords.
    pub new_passwords: PasswordSettings,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// How many requests per minute a client address may send to each route under `/auth/`. `None` means no
    /// limit.
    pub rate_limit: Option<NonZeroU32>,
    /// How emails are sent.
    pub mail: MailSettings,
    // chapter: sms {
    /// How SMS are sent.
    pub sms: SmsSettings,
    // chapter: sms }
    // chapter: social-login {
    /// The providers at which users may log in.
    pub login_providers: Vec<ProviderSettings>,
    // chapter: social-login }
    // chapter: avatars {
    /// Where avatars are stored, and the public keys for services that do not ask this service for them.
    pub storage: StorageSettings,
    // chapter: avatars }
    /// Whether only users with a confirmed email address may log in.
    pub require_verified_email: bool,
    /// How the service is reached and monitored.
    pub operations: Operations,
    // chapter: second-factor {
    /// The keys that encrypt the secrets of second factors.
    pub sealing: SealingKeys,
    // chapter: second-factor }
    /// Whether the signing key is the one for development.
    pub development: bool,
}

/// When unused sessions end, how long a replaced refresh token is accepted, and whether tokens may be bound to keys.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// How long a session lasts without a refresh.
    pub idle_ttl: Duration,
    /// How long a refresh token is still accepted after it was replaced, for two tabs that refresh at once.
    pub rotation_grace: Duration,
    /// Whether clients may bind their tokens to a key (DPoP, RFC 9449), as the page does.
    pub dpop: bool,
}

// === impl SessionSettings ===

impl SessionSettings {
    fn from_env() -> Result<Self, Error> {
        let default = Self::default();
        Ok(Self {
            idle_ttl: seconds("SESSION_IDLE_TTL")?.unwrap_or(default.idle_ttl),
            rotation_grace: seconds("SESSION_ROTATION_GRACE")?.unwrap_or(default.rotation_grace),
            dpop: flag("DPOP")?.unwrap_or(default.dpop),
        })
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle_ttl: DEFAULT_IDLE_TTL,
            rotation_grace: DEFAULT_ROTATION_GRACE,
            dpop: true,
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Reads the environment. If no `JWT_*` variable is set, it makes a development key and stores it in a
    /// file, so that tokens outlive a restart.
    ///
    /// # Errors
    ///
    /// Fails if a variable is invalid or missing, if `APP_ENV=production` refuses a setting, or if the data folder
    /// cannot be written.
    pub fn from_env() -> Result<Self, Error> {
        let operations = Operations::from_env()?;
        production::check(&operations)?;
        let development = AuthConfig::env_is_empty();
        let auth = Self::auth_from_env()?;
        let bind_address =
            variable("BIND_ADDR")?.unwrap_or_else(|| DEFAULT_BIND_ADDRESS.to_owned());
        let per_minute = parsed("RATE_LIMIT_PER_MINUTE", "a whole number, or 0 for no limit")?;
        let public_url = match &operations.public_url {
            Some(url) => url.to_string(),
            None if development => format!("http://{bind_address}"),
            None => return Err("PUBLIC_URL is not set: links in emails begin with it".into()),
        };
        Ok(Self {
            database_url: Self::database_url_from_env()?,
            redis_url: variable("REDIS_URL")?,
            passwords: auth.password_service()?,
            auth,
            sessions: SessionSettings::from_env()?,
            new_passwords: PasswordSettings::from_env()?,
            trusted_proxies: TrustedProxies::from_env()?,
            rate_limit: NonZeroU32::new(per_minute.unwrap_or(DEFAULT_RATE_LIMIT)),
            mail: MailSettings::from_env(Path::new(DATA_FOLDER).join("mail"), public_url)?,
            sms: SmsSettings::from_env(Path::new(DATA_FOLDER).join("sms"))?, // chapter: sms
            login_providers: ProviderSettings::all_from_env()?, // chapter: social-login
            storage: Self::storage_from_env()?,                 // chapter: avatars
            sealing: SealingKeys::from_env(development.then_some(Path::new(DATA_FOLDER)))?, // chapter: second-factor
            require_verified_email: flag("REQUIRE_VERIFIED_EMAIL")?.unwrap_or(!development),
            bind_address,
            operations,
            development,
        })
    }

    /// Reads only the keys, for commands that need no database.
    ///
    /// # Errors
    ///
    /// Fails like [`from_env`](Self::from_env).
    pub fn auth_from_env() -> Result<AuthConfig, Error> {
        if AuthConfig::env_is_empty() {
            return development::config(Path::new(DATA_FOLDER));
        }
        Ok(AuthConfig::from_env()?)
    }

    // chapter: avatars {
    /// Reads only the storage, for commands.
    ///
    /// # Errors
    ///
    /// Fails like [`from_env`](Self::from_env).
    pub fn storage_from_env() -> Result<StorageSettings, Error> {
        StorageSettings::from_env(Path::new(DATA_FOLDER).join("storage"))
    }
    // chapter: avatars }

    /// Reads only the database URL, for commands that need no keys.
    ///
    /// # Errors
    ///
    /// Fails like [`from_env`](Self::from_env).
    pub fn database_url_from_env() -> Result<String, Error> {
        if let Some(url) = variable("DATABASE_URL")? {
            return Ok(url);
        }
        development::data_folder(Path::new(DATA_FOLDER))?;
        Ok(DEFAULT_DATABASE_URL.to_owned())
    }
}
