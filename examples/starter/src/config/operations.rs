//! [`Operations`]: settings about where the service runs.

use super::origin::Origin;
use super::variables::variable;
use crate::error::Error;

/// How the service is reached and monitored.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// The address in browsers, such as `https://auth.example.com`. Links in emails begin with it. If it is
    /// https, browsers are told to use only that.
    pub public_url: Option<Origin>,
    /// The sites whose pages may call the API from browsers, besides our own.
    pub cors_origins: Vec<Origin>,
    // chapter: metrics {
    /// Where the metrics are served.
    pub metrics: MetricsPlace,
    // chapter: metrics }
}

// chapter: metrics {
/// Where `/metrics` is served. The metrics say how much the service is used, but nothing about single users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetricsPlace {
    /// The metrics are not served.
    #[default]
    Nowhere,
    /// The metrics are served at the address of the API, to everybody who can reach it.
    Main,
    /// The metrics are served at this separate address.
    At(String),
}
// chapter: metrics }

// === impl Operations ===

impl Operations {
    /// Reads `PUBLIC_URL`, `CORS_ORIGINS` and `METRICS_ADDR`.
    ///
    /// # Errors
    ///
    /// Fails if a variable is invalid.
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
            // chapter: metrics {
            metrics: match variable("METRICS_ADDR")? {
                None => MetricsPlace::Nowhere,
                Some(word) if word == "main" => MetricsPlace::Main,
                Some(address) => MetricsPlace::At(address),
            },
            // chapter: metrics }
        })
    }
}

fn origin(name: &str, text: &str) -> Result<Origin, Error> {
    Origin::parse(text).ok_or_else(|| {
        format!("{name} must be http:// or https:// with a host and no path, but it is {text:?}")
            .into()
    })
}
