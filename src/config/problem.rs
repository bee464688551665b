//! The text of a problem: the variable, what is wrong, and what to do.

use crate::error::ConfigError;

/// Adds the name of the variable to a problem with its value.
pub(super) fn named(variable: &str, error: &ConfigError) -> ConfigError {
    let text = error.to_string();
    if text.starts_with("JWT_") {
        ConfigError::invalid(text)
    } else {
        ConfigError::invalid(format!("{variable}: {text}"))
    }
}
