//! [`Problem`]: what is wrong with a requirement. Such a requirement lets nobody through.

use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// The most rules and names that a requirement may have.
pub(super) const MAX_SIZE: usize = 1024;
/// The deepest allowed nesting of alternating `and` and `or`.
pub(super) const MAX_DEPTH: usize = 32;

/// What is wrong with a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    EmptyScope,
    MalformedScope(Box<str>),
    /// A string in a list of alternatives names several scopes.
    SeveralInOne(Box<str>),
    EmptyRole,
    EmptyLevel,
    MalformedLevel(Box<str>),
    ClaimPath,
    EmptyValue(Box<str>),
    MaxAge,
    TooLarge,
}

// === impl Problem ===

impl Problem {
    /// Whether the name or value may come from a request, as in `format!("tenant:{tenant}:read")`. No token
    /// can have it, so the response is a normal refusal and not a 500.
    pub(super) fn is_only_unmet(&self) -> bool {
        self.refusal().is_none()
    }

    /// Returns the error for every request if the code or the configuration is at fault.
    pub(super) fn refusal(&self) -> Option<AuthError> {
        let message = match self {
            Self::EmptyScope => {
                "a required scope is empty, perhaps because a variable is not set, so nobody is let through: \
                 name at least one scope in each string (`Require::checked` finds this at start-up)"
            }
            Self::EmptyRole => {
                "a required role is empty, perhaps because a variable is not set, so nobody is let through: \
                 name at least one role (`Require::checked` finds this at start-up)"
            }
            Self::EmptyLevel => {
                "a required authentication level is empty, so nobody is let through: name at least one \
                 value of `acr` (`Require::checked` finds this at start-up)"
            }
            Self::ClaimPath => {
                "the path of a required claim is empty or has an empty part, so nobody is let through: \
                 write it as `tenant` or `org.id` (`Require::checked` finds this at start-up)"
            }
            Self::MaxAge => {
                "the maximum age of a login is less than 1 second, so nobody is let through \
                 (`Require::checked` finds this at start-up)"
            }
            Self::TooLarge => {
                "a requirement is too large, so nobody is let through: use at most 1024 rules and names, and 32 \
                 levels of `and` and `or` (`Require::checked` finds this at start-up)"
            }
            Self::MalformedScope(_)
            | Self::SeveralInOne(_)
            | Self::MalformedLevel(_)
            | Self::EmptyValue(_) => return None,
        };
        let error = AuthError::new(AuthErrorKind::Internal).because(message);
        Some(error.with_source(self.explanation()))
    }

    pub(super) fn config_error(&self) -> ConfigError {
        ConfigError::Invalid(self.explanation())
    }

    fn explanation(&self) -> String {
        let shown = |text: &str| text.escape_default().take(64).collect::<String>();
        match self {
            Self::EmptyScope => {
                "a required scope is empty, perhaps because a variable is not set: name at least one scope in \
                 each string, such as `reports:read`"
                    .into()
            }
            Self::MalformedScope(scope) => format!(
                "`{}` is not a scope: use printable ASCII without space, `\"` and `\\`",
                shown(scope)
            ),
            Self::SeveralInOne(text) => format!(
                "`{}` in a list of alternatives names several scopes: list each as an alternative of its own, \
                 or require all of them by `Require::all_scopes(..)` and combine that by `.or(..)`",
                shown(text)
            ),
            Self::EmptyRole => {
                "a required role is empty, perhaps because a variable is not set: name at least one role, such \
                 as `auditor`"
                    .into()
            }
            Self::EmptyLevel => {
                "a required authentication level is empty, perhaps because a variable is not set: name at \
                 least one value of `acr`, such as `urn:example:gold`"
                    .into()
            }
            Self::MalformedLevel(level) => format!(
                "`{}` is not an authentication level: use printable ASCII without space, `\"` and `\\`",
                shown(level)
            ),
            Self::ClaimPath => {
                "the path of a required claim is empty or has an empty part: write it as \
                                `tenant` or `org.id`"
                    .into()
            }
            Self::EmptyValue(path) => format!(
                "the required value of the claim `{}` is empty, perhaps because a variable is not set, so no \
                 token passes: give a value",
                shown(path)
            ),
            Self::MaxAge => "the maximum age of a login must be at least 1 second".into(),
            Self::TooLarge => format!(
                "the requirement is too large: use at most {MAX_SIZE} rules and names, and {MAX_DEPTH} \
                 levels of `and` and `or`"
            ),
        }
    }
}
