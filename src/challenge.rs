//! The text of the `WWW-Authenticate: Bearer` challenge (RFC 6750 section 3, RFC 9110 section 11.6.1).

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::grpc::GrpcType;

/// What every challenge of one resource says besides the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The protection space (RFC 9110 section 11.5).
    /// The default is borrowed, so that comparing with it allocates nothing.
    pub(crate) realm: Cow<'static, str>,
    /// Where the protected resource's metadata is (RFC 9728 section 5.1).
    pub(crate) resource_metadata: Option<Box<str>>,
    /// The scopes that a 401 names, separated by spaces, unless the error names others (RFC 6750
    /// section 3). A 403 names its own or none, because another token may not cure it.
    pub(crate) scope: Option<Box<str>>,
}

/// How one layer refuses requests. Its tokens and errors carry it, so that a refusal further in, by a
/// guard, an extractor or a handler, looks like a refusal by the layer itself.
#[derive(Default, Clone)]
pub(crate) struct Refusals {
    pub(crate) challenge: Challenge,
    /// Makes the responses: a `Responder` of the layer's body type. `None` means empty bodies.
    pub(crate) responder: Option<Arc<dyn Any + Send + Sync>>,
    /// The content type of the request, if it is a gRPC request.
    pub(crate) grpc: Option<GrpcType>,
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals")
            .field("challenge", &self.challenge)
            .field("grpc", &self.grpc)
            .finish_non_exhaustive()
    }
}

/// The parameters of a challenge that depend on the error.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needed<'a> {
    pub(crate) code: Option<&'static str>,
    pub(crate) scope: Option<&'a str>,
    /// Authentication levels, separated by spaces (RFC 9470 section 3).
    pub(crate) acr_values: Option<&'a str>,
    /// The largest age of the login in seconds (RFC 9470 section 3).
    pub(crate) max_age: Option<u64>,
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
            scope: None,
        }
    }
}

impl Challenge {
    /// `Bearer`, followed by the realm and the other parameters that are known, each at most once.
    pub(crate) fn text(&self, needed: Needed<'_>) -> String {
        let mut text = String::from("Bearer");
        let max_age = needed.max_age.map(|seconds| seconds.to_string());
        let parameters = [
            ("realm", Some(&*self.realm)),
            ("error", needed.code),
            ("scope", needed.scope),
            ("acr_values", needed.acr_values),
            ("max_age", max_age.as_deref()),
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
    use super::{Challenge, Needed};

    #[test]
    fn without_credentials_it_has_the_realm_alone() {
        // RFC 6750 section 3: at least one parameter.
        let challenge = Challenge::default().text(Needed::default());
        assert_eq!(challenge, "Bearer realm=\"api\"");
    }

    #[test]
    fn parameters_are_quoted_and_comma_separated() {
        let challenge = Challenge {
            realm: "shop".into(),
            resource_metadata: Some("https://a.example/.well-known/x".into()),
            ..Challenge::default()
        };
        let needed = Needed {
            code: Some("insufficient_user_authentication"),
            scope: Some("read write"),
            acr_values: Some("gold silver"),
            max_age: Some(300),
        };
        assert_eq!(
            challenge.text(needed),
            "Bearer realm=\"shop\", error=\"insufficient_user_authentication\", scope=\"read write\", \
             acr_values=\"gold silver\", max_age=\"300\", \
             resource_metadata=\"https://a.example/.well-known/x\"",
        );
    }

    #[test]
    fn nothing_can_break_out_of_a_parameter() {
        let challenge = Challenge {
            realm: "a\"b\\c\r\nX: y\u{e9}".into(),
            ..Challenge::default()
        };
        assert_eq!(
            challenge.text(Needed::default()),
            "Bearer realm=\"a\\\"b\\\\c??X: y?\""
        );
    }
}
