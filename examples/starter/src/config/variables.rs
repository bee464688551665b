//! Reads and parses environment variables.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

/// Returns a variable. An empty one counts as not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8").into()),
    }
}

pub(crate) fn seconds(name: &str) -> Result<Option<Duration>, Error> {
    let seconds = parsed(name, "a whole number of seconds")?;
    Ok(seconds.map(Duration::from_secs))
}

/// Reads `true` or `false`.
pub(crate) fn flag(name: &str) -> Result<Option<bool>, Error> {
    parsed(name, "true or false")
}

/// Parses a variable. The error does not repeat the value, which may be a secret in the wrong place.
pub(crate) fn parsed<T: FromStr>(name: &str, wanted: &str) -> Result<Option<T>, Error> {
    let parse = |text: String| {
        text.parse()
            .map_err(|_| format!("{name} must be {wanted}").into())
    };
    variable(name)?.map(parse).transpose()
}
