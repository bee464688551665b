//! The challenges in `WWW-Authenticate`: `Bearer` (RFC 6750 section 3, RFC 9110 section 11.6.1) and `DPoP`
//! (RFC 9449 section 7.1).

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::grpc::GrpcType;

/// What every challenge of a resource contains besides the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The realm (RFC 9110 section 11.5). The default is borrowed, so that it allocates nothing.
    pub(crate) realm: Cow<'static, str>,
    /// The URL of the metadata of the protected resource (RFC 9728 section 5.1).
    pub(crate) resource_metadata: Option<Box<str>>,
    /// The scopes that a 401 names, separated by spaces, unless the error names others (RFC 6750
    /// section 3). A 403 names its own or none, because another token may not help.
    pub(crate) scope: Option<Box<str>>,
    /// How the challenge asks for DPoP proofs, if the layer checks them.
    pub(crate) dpop: Option<DpopChallenge>,
}

/// What the challenges of a layer with DPoP contain in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DpopChallenge {
    /// The accepted algorithms for proofs, separated by spaces.
    pub(crate) algs: Box<str>,
    /// Whether bearer tokens are refused.
    pub(crate) is_required: bool,
    /// Whether the request has used the scheme `DPoP`.
    pub(crate) is_used: bool,
}

/// An authentication scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

/// How a layer refuses requests. The tokens and errors of the layer carry it, so that a guard, an extractor
/// or a handler behind it refuses requests in the same way.
#[derive(Default, Clone)]
pub(crate) struct Refusals {
    pub(crate) challenge: Challenge,
    /// Makes the responses: a `Responder` for the layer's body type. `None` means empty bodies.
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
    /// The maximum age of the login, in seconds (RFC 9470 section 3).
    pub(crate) max_age: Option<u64>,
}

/// The default realm of challenges: `api`. A challenge must have at least one parameter, and for a request
/// without credentials it has no other (RFC 6750 section 3).
pub const DEFAULT_REALM: &str = "api";

// === impl Challenge ===

impl Default for Challenge {
    fn default() -> Self {
        Self {
            realm: DEFAULT_REALM.into(),
            resource_metadata: None,
            scope: None,
            dpop: None,
        }
    }
}

impl Challenge {
    /// Returns the challenges of a refusal, each a value of `WWW-Authenticate`. A layer that accepts bearer
    /// tokens and DPoP makes one for each scheme, and names the error in that of the scheme that the request
    /// has used.
    pub(crate) fn texts(&self, needed: Needed<'_>) -> SmallVec<[Cow<'static, str>; 2]> {
        let bearer = |needed| self.text(Scheme::Bearer, needed).into();
        match &self.dpop {
            None => smallvec![bearer(needed)],
            Some(dpop) if dpop.is_used || dpop.is_required => {
                smallvec![self.text(Scheme::Dpop, needed).into()]
            }
            Some(_) => {
                let by_proof = if needed.code.is_some() {
                    Needed::default()
                } else {
                    needed
                };
                smallvec![bearer(needed), self.text(Scheme::Dpop, by_proof).into()]
            }
        }
    }

    /// Returns the scheme, followed by the realm and the other known parameters, each at most once.
    pub(crate) fn text(&self, scheme: Scheme, needed: Needed<'_>) -> String {
        let mut text = String::with_capacity(128);
        text.push_str(scheme.as_str());
        let algs = self.dpop.as_ref().filter(|_| scheme == Scheme::Dpop);
        let max_age = needed.max_age.map(|seconds| seconds.to_string());
        let parameters = [
            ("realm", Some(&*self.realm)),
            ("error", needed.code),
            ("scope", needed.scope),
            ("acr_values", needed.acr_values),
            ("max_age", max_age.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
            ("algs", algs.map(|dpop| &*dpop.algs)),
        ];
        let mut separator = " ";
        for (name, value) in parameters {
            if let Some(value) = value {
                for part in [separator, name, "=\""] {
                    text.push_str(part);
                }
                push_quoted(&mut text, value);
                text.push('"');
                separator = ", ";
            }
        }
        text
    }
}

// === impl Scheme ===

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// Appends the content of a quoted-string. Characters that are not allowed in one (CR, LF, non-ASCII) become
/// `?`.
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
    use super::{Challenge, DpopChallenge, Needed, Scheme};

    #[test]
    fn without_credentials_a_challenge_has_only_the_realm() {
        // RFC 6750 section 3: at least one parameter.
        let challenge = Challenge::default().text(Scheme::Bearer, Needed::default());
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
            challenge.text(Scheme::Bearer, needed),
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
            challenge.text(Scheme::Bearer, Needed::default()),
            "Bearer realm=\"a\\\"b\\\\c??X: y?\""
        );
    }

    #[test]
    fn a_layer_that_checks_proofs_names_both_schemes() {
        let layer = |is_required, is_used| Challenge {
            dpop: Some(DpopChallenge {
                algs: "ES256 EdDSA".into(),
                is_required,
                is_used,
            }),
            ..Challenge::default()
        };
        let told = |layer: Challenge, code| {
            let needed = Needed {
                code,
                ..Needed::default()
            };
            layer.texts(needed).join(" | ")
        };
        assert_eq!(
            told(layer(false, false), None),
            r#"Bearer realm="api" | DPoP realm="api", algs="ES256 EdDSA""#
        );
        assert_eq!(
            told(layer(false, false), Some("invalid_token")),
            r#"Bearer realm="api", error="invalid_token" | DPoP realm="api", algs="ES256 EdDSA""#
        );
        for (is_required, is_used) in [(false, true), (true, false), (true, true)] {
            assert_eq!(
                told(layer(is_required, is_used), Some("invalid_token")),
                r#"DPoP realm="api", error="invalid_token", algs="ES256 EdDSA""#
            );
        }
    }
}
