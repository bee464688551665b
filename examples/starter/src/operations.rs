//! [`Operations`]: what the service is told about where it runs, and what production forbids.

use tower_jwt_auth::config::AuthConfig;

use crate::variables::variable;
use crate::{Error, Origin};

/// How the service is reached and watched.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// What browsers see: `https://auth.example.com`. If it is https, browsers are told to stay there.
    /// Links in letters begin with it.
    pub public_url: Option<Origin>,
    /// Whose pages may call the API from browsers, besides our own.
    pub cors_origins: Vec<Origin>,
    /// Where the metrics are served.
    pub metrics: MetricsPlace,
}

/// Where `/metrics` is. It tells nothing about users, but how much the service is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetricsPlace {
    /// Nowhere.
    #[default]
    Nowhere,
    /// Beside the API, for whoever reaches that.
    Main,
    /// At an address of its own.
    At(String),
}

// === impl Operations ===

impl Operations {
    /// Reads `PUBLIC_URL`, `CORS_ORIGINS` and `METRICS_ADDR`.
    ///
    /// # Errors
    ///
    /// A variable that cannot be meant.
    pub fn from_env() -> Result<Self, Error> {
        let public_url = variable("PUBLIC_URL")?.map(|text| origin("PUBLIC_URL", &text));
        let cors_origins = variable("CORS_ORIGINS")?.unwrap_or_default();
        let cors_origins = cors_origins
            .split([',', ' '])
            .filter(|text| !text.is_empty());
        Ok(Self {
            public_url: public_url.transpose()?,
            cors_origins: cors_origins
                .map(|text| origin("CORS_ORIGINS", text))
                .collect::<Result<_, _>>()?,
            metrics: match variable("METRICS_ADDR")? {
                None => MetricsPlace::Nowhere,
                Some(word) if word == "main" => MetricsPlace::Main,
                Some(address) => MetricsPlace::At(address),
            },
        })
    }

    /// With `APP_ENV=production`, refuses what is fine for trying things out and nowhere else.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match variable("APP_ENV")?.as_deref() {
            None | Some("development") => return Ok(()),
            Some("production") => {}
            Some(_) => return Err("APP_ENV must be development or production".into()),
        }
        let mut wrong = Vec::new();
        if AuthConfig::env_is_empty() {
            wrong.push(
                "there is only the development key: set JWT_KEY_RING_FILE and JWT_ROTATE_KEYS (or \
                 JWT_SECRET), JWT_ISSUER and JWT_AUDIENCE",
            );
        }
        if variable("JWT_ISSUER")?.is_some_and(|issuer| issuer.starts_with("http://")) {
            wrong.push("JWT_ISSUER must begin with https://");
        }
        match &self.public_url {
            None => wrong.push("PUBLIC_URL is not set: set it to what browsers see, https://..."),
            Some(url) if !url.is_https() => wrong.push("PUBLIC_URL must begin with https://"),
            Some(_) => {}
        }
        if variable("SMTP_URL")?.is_none() && variable("MAIL_FOLDER")?.is_none() {
            wrong.push("SMTP_URL is not set: letters would be files that nobody reads");
        }
        if self.cors_origins.iter().any(|origin| !origin.is_https()) {
            wrong.push("CORS_ORIGINS must all begin with https://");
        }
        if self.metrics == MetricsPlace::Main {
            wrong.push("METRICS_ADDR must be an address that only your monitoring reaches");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("APP_ENV is production, but {}", wrong.join("; ")).into())
    }
}

fn origin(name: &str, text: &str) -> Result<Origin, Error> {
    Origin::parse(text).ok_or_else(|| {
        format!("{name} must hold http(s)://, a host, and no path: {text:?} is none").into()
    })
}
