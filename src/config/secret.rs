//! [`Secret`]: a configured text that is never shown.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

/// A secret text. `Debug` does not show it, and it is wiped from memory when it is dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

// === impl Secret ===

impl Secret {
    /// Returns the text without white space around it, and without the byte order mark that some editors
    /// write at the beginning.
    pub(super) fn trimmed(&self) -> &str {
        trimmed(&self.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.trimmed().as_bytes()
    }

    pub(super) fn is_json(&self) -> bool {
        self.trimmed().starts_with('{')
    }

    /// Returns the text as PEM with real line breaks: many tools can only pass `\n` as two characters.
    pub(super) fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.trimmed().replace("\\r", "").replace("\\n", "\n"))
    }
}

pub(super) fn trimmed(text: &str) -> &str {
    text.trim().trim_start_matches('\u{feff}').trim()
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
