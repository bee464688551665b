//! The variables of the environment, read with all that is wrong with them.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use super::problem::invalid;
use super::secret::Secret;
use crate::error::ConfigError;
use crate::secret_file::{self, Content};

/// Reads variables, and gathers what is wrong with them.
pub(super) struct Vars<'a> {
    pub(super) vars: &'a HashMap<String, String>,
    pub(super) problems: &'a mut Vec<ConfigError>,
}

impl Vars<'_> {
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.vars.get(name)?.trim();
        if value.contains(char::REPLACEMENT_CHARACTER) {
            self.problems.push(invalid(&format!("{name} is not UTF-8")));
            return None;
        }
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The variable, or the content of the file that the one with `_FILE` names.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.text_or_file(name, Content::Secret)
    }

    /// As [`secret`](Self::secret), for keys that anybody may read.
    pub(super) fn public_keys(&mut self, name: &str) -> Option<Secret> {
        self.text_or_file(name, Content::Public)
    }

    fn text_or_file(&mut self, name: &str, content: Content) -> Option<Secret> {
        let file = format!("{name}_FILE");
        let problem = match (self.text(name), self.text(&file)) {
            (Some(_), Some(_)) => format!("{name} and {file} are both set: unset one"),
            (Some(value), None) => return Some(value.into()),
            (None, Some(path)) => match secret_file::read(Path::new(&path), content) {
                Ok(text) if !text.trim().is_empty() => return Some(text.into()),
                Ok(_) => format!("{file}: the file {path} is empty"),
                Err(error) => format!("{file}: the file {path} {error}"),
            },
            (None, None) => return None,
        };
        self.problems.push(invalid(&problem));
        None
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &str, unit: &str) -> Option<T> {
        let number = self.text(name)?.parse().ok();
        if number.is_none() {
            self.problems
                .push(invalid(&format!("{name} must be a whole number of {unit}")));
        }
        number
    }
}

/// The variables of the process that are ours; what is not text shows by its replacement characters.
pub(super) fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with("JWT_") || name.starts_with("PASSWORD_"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}
