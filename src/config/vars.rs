//! [`Vars`]: reads environment variables and collects everything that is wrong with them.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use super::secret::{Secret, trimmed};
use crate::error::ConfigError;
use crate::secret_file::{self, Content};

/// The length of the shortest usable secret, in bytes.
const MIN_SECRET_BYTES: usize = 32;

/// Reads variables, and collects what is wrong with them.
pub(super) struct Vars<'a> {
    pub(super) vars: &'a HashMap<String, String>,
    pub(super) problems: &'a mut Vec<ConfigError>,
    /// Whether a key could not be read, so that it is not reported as missing as well.
    pub(super) lacks_key: bool,
}

impl Vars<'_> {
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = trimmed(self.vars.get(name)?);
        match wrong_text(value) {
            Some(said) => {
                self.problem(&format!("{name} {said}"));
                None
            }
            None => (!value.is_empty()).then(|| value.to_owned()),
        }
    }

    /// Returns the value of the variable, or the content of the file that the variable with `_FILE` names.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.text_or_file(name, Content::Secret)
    }

    /// Does the same as [`secret`](Self::secret), for keys that anybody may read.
    pub(super) fn public_keys(&mut self, name: &str) -> Option<Secret> {
        self.text_or_file(name, Content::Public)
    }

    fn text_or_file(&mut self, name: &str, content: Content) -> Option<Secret> {
        let file = format!("{name}_FILE");
        let before = self.problems.len();
        let value = match (self.text(name), self.text(&file)) {
            (Some(_), Some(_)) => {
                self.problem(&format!(
                    "{name} and {file} are both set: unset one of them"
                ));
                None
            }
            (Some(value), None) if is_file(&value) => {
                self.problem(&format!(
                    "{name} is the path of a file, not its content: set {file} to this path instead"
                ));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => match read(&path, content) {
                Ok(text) => Some(text),
                Err(said) => {
                    self.problem(&format!("{file}: {said}"));
                    None
                }
            },
            (None, None) => None,
        };
        self.lacks_key |= self.problems.len() > before;
        value
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &str, unit: &str) -> Option<T> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            let shown: String = text.escape_default().take(64).collect();
            let meant = match in_seconds(&text).filter(|_| unit.starts_with("seconds")) {
                Some(seconds) => format!("write {seconds}"),
                None => "write only digits, without a unit, a sign or a point".to_owned(),
            };
            self.problem(&format!(
                "{name} must be a whole number of {unit}, but it is `{shown}`: {meant}"
            ));
        }
        number
    }

    fn problem(&mut self, text: &str) {
        self.problems.push(ConfigError::invalid(text));
    }
}

/// Says what is wrong with a text, independent of its meaning.
fn wrong_text(value: &str) -> Option<&'static str> {
    let is_quoted = |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if value.contains(char::REPLACEMENT_CHARACTER) {
        Some("is not UTF-8: write it as text, and binary keys as base64 or PEM")
    } else if is_quoted('"') || is_quoted('\'') {
        Some(
            "begins and ends with a quotation mark: remove both (Docker's `--env-file`, systemd and Kubernetes \
             can pass them on as part of the value)",
        )
    } else {
        None
    }
}

/// Whether a value is the path of an existing file.
fn is_file(value: &str) -> bool {
    let is_rooted = ["/", "./", "../", "C:\\"]
        .iter()
        .any(|start| value.starts_with(start));
    is_rooted && !value.contains('\n') && Path::new(value).is_file()
}

/// Returns the content of a file, or what is wrong with it.
fn read(path: &str, content: Content) -> Result<Secret, String> {
    if path.contains(['\n', '{']) || path.contains("-----BEGIN") {
        return Err(
            "this is a key, not the path of a file: set the variable without `_FILE` to it"
                .to_owned(),
        );
    }
    let shown = shown_path(path);
    let text = secret_file::read(Path::new(path), content);
    let text = text.map_err(|error| format!("the file {shown} {error}"))?;
    match wrong_text(trimmed(&text)) {
        Some(said) => Err(format!("the file {shown} {said}")),
        None if trimmed(&text).is_empty() => {
            Err(format!("the file {shown} is empty: write the key into it"))
        }
        None => Ok(text.into()),
    }
}

/// Returns a path for a message, unless it may be a secret in the wrong variable.
fn shown_path(path: &str) -> String {
    let folder = Path::new(path).parent();
    let has_folder = folder.is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir());
    if has_folder || path.len() < MIN_SECRET_BYTES {
        path.to_owned()
    } else {
        "that it names (its folder does not exist either; a secret itself belongs in the variable without \
         `_FILE`)"
            .to_owned()
    }
}

/// Converts a duration with units to seconds, such as `15m` or `15 min` to 900.
fn in_seconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Returns the environment variables of this crate. Values that are not UTF-8 contain replacement characters.
pub(super) fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with("JWT_") || name.starts_with("PASSWORD_"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}
