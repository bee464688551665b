//! The text of a problem: the variable, what is wrong, and the cure.

use crate::error::ConfigError;

/// A problem with what a variable holds.
pub(super) fn named(variable: &str, error: &ConfigError) -> ConfigError {
    let text = error.to_string();
    if text.starts_with("JWT_") {
        ConfigError::invalid(text)
    } else {
        ConfigError::invalid(format!("{variable}: {text}"))
    }
}
