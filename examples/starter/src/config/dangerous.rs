//! The variables that allow what production refuses. Each name says what it allows.

use std::env;

use super::variables::{flag, variable};
use crate::error::Error;

// Each of these variables is `true` or `false`.
pub(crate) const EMAILS_TO_FILES: &str = "DANGEROUS_EMAILS_TO_FILES";
pub(crate) const SMS_TO_FILES: &str = "DANGEROUS_SMS_TO_FILES";
pub(crate) const TRUST_ANY_PROXY: &str = "DANGEROUS_TRUST_ANY_PROXY";
pub(crate) const NO_RATE_LIMIT: &str = "DANGEROUS_NO_RATE_LIMIT";
pub(crate) const UNCONFIRMED_LOGINS: &str = "DANGEROUS_UNCONFIRMED_LOGINS";
pub(crate) const LONG_TOKENS: &str = "DANGEROUS_LONG_TOKENS";
/// Contains the names of the variables whose connections may go without TLS.
pub(crate) const WITHOUT_TLS: &str = "DANGEROUS_WITHOUT_TLS";

const FLAGS: [&str; 6] = [
    EMAILS_TO_FILES,
    LONG_TOKENS,
    NO_RATE_LIMIT,
    SMS_TO_FILES,
    TRUST_ANY_PROXY,
    UNCONFIRMED_LOGINS,
];
/// What [`WITHOUT_TLS`] may contain.
const CONNECTIONS: [&str; 6] = [
    "BREACHED_PASSWORDS_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "SMS_URL",
    "SMTP_URL",
    "STORAGE_URL",
];

/// The connections to other machines that may go without TLS.
pub(crate) struct WithoutTls(Vec<String>);

/// Returns whether the operator has set this variable to `true`.
pub(crate) fn allows(name: &str) -> Result<bool, Error> {
    Ok(flag(name)?.unwrap_or(false))
}

pub(crate) fn without_tls() -> Result<WithoutTls, Error> {
    let names = variable(WITHOUT_TLS)?.unwrap_or_default();
    let names = names.split([',', ' ']).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    match names
        .iter()
        .find(|name| !CONNECTIONS.contains(&name.as_str()))
    {
        None => Ok(WithoutTls(names)),
        Some(name) => Err(format!(
            "{WITHOUT_TLS} must contain names of variables, and {name:?} is not one of {}",
            CONNECTIONS.join(", ")
        )
        .into()),
    }
}

/// Returns a variable whose name starts with `DANGEROUS_` and is unknown.
pub(crate) fn unknown() -> Option<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names = names.filter(|name| name.starts_with("DANGEROUS_"));
    names.find(|name| name != WITHOUT_TLS && !FLAGS.contains(&name.as_str()))
}

// === impl WithoutTls ===

impl WithoutTls {
    pub(crate) fn contains(&self, variable: &str) -> bool {
        self.0.iter().any(|name| name == variable)
    }
}
