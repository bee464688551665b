//! The text of the `WWW-Authenticate: Bearer` challenge (RFC 6750 section 3, RFC 9110 section 11.6.1).

use std::borrow::Cow;
use std::fmt::Write as _;

/// What every challenge of one resource says besides the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The protection space (RFC 9110 section 11.5).
    /// The default is borrowed, so that comparing with it allocates nothing.
    pub(crate) realm: Cow<'static, str>,
    /// Where the protected resource's metadata is (RFC 9728 section 5.1).
    pub(crate) resource_metadata: Option<Box<str>>,
}

/// The realm of challenges unless said otherwise. A challenge must have a parameter, and without
/// credentials it has no other (RFC 6750 section 3).
pub const DEFAULT_REALM: &str = "api";

// === impl Challenge ===

impl Default for Challenge {
    fn default() -> Self {
        Self {
            realm: DEFAULT_REALM.into(),
            resource_metadata: None,
        }
    }
}

impl Challenge {
    /// `Bearer`, followed by the realm and the other parameters that are known, each at most once.
    pub(crate) fn text(&self, code: Option<&'static str>, scope: Option<&str>) -> String {
        let mut text = String::from("Bearer");
        let parameters = [
            ("realm", Some(&*self.realm)),
            ("error", code),
            ("scope", scope),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        let mut separator = " ";
        for (name, value) in parameters {
            if let Some(value) = value {
                let _ = write!(text, "{separator}{name}=\"");
                push_quoted(&mut text, value);
                text.push('"');
                separator = ", ";
            }
        }
        text
    }
}

/// The inside of a quoted-string; what may not stand in one (CR, LF, non-ASCII) becomes `?`.
fn push_quoted(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn without_credentials_it_has_the_realm_alone() {
        // RFC 6750 section 3: at least one parameter.
        let challenge = Challenge::default().text(None, None);
        assert_eq!(challenge, "Bearer realm=\"api\"");
    }

    #[test]
    fn parameters_are_quoted_and_comma_separated() {
        let challenge = Challenge {
            realm: "shop".into(),
            resource_metadata: Some("https://a.example/.well-known/x".into()),
        };
        assert_eq!(
            challenge.text(Some("insufficient_scope"), Some("read write")),
            "Bearer realm=\"shop\", error=\"insufficient_scope\", scope=\"read write\", \
             resource_metadata=\"https://a.example/.well-known/x\"",
        );
    }

    #[test]
    fn nothing_can_break_out_of_a_parameter() {
        // B12
        let challenge = Challenge {
            realm: "a\"b\\c\r\nX: y\u{e9}".into(),
            ..Challenge::default()
        };
        assert_eq!(
            challenge.text(None, None),
            "Bearer realm=\"a\\\"b\\\\c??X: y?\""
        );
    }
}
