//! What is wrong with a requirement, which then lets nobody pass.

use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// How many rules and names a requirement may have.
pub(super) const MAX_SIZE: usize = 1024;
/// How deep `and` and `or` may alternate.
pub(super) const MAX_DEPTH: usize = 32;

/// What is wrong with a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    EmptyScope,
    MalformedScope(Box<str>),
    /// A text in a list of alternatives names several scopes.
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
    /// Whether the name or value may come from a request, as in `format!("tenant:{tenant}:read")`. No
    /// token has it, so the answer is the one to any other token without it, and not a 500.
    pub(super) fn is_only_unmet(&self) -> bool {
        self.refusal().is_none()
    }

    /// The error for every request, if the programmer or the configuration is at fault.
    pub(super) fn refusal(&self) -> Option<AuthError> {
        let message = match self {
            Self::EmptyScope => {
                "a required scope is empty, as from a variable that is not set, so nobody is let \
                 through: name at least one scope in each text (`Require::checked` finds it at start-up)"
            }
            Self::EmptyRole => {
                "a required role is empty, as from a variable that is not set, so nobody is let through: \
                 name at least one role (`Require::checked` finds it at start-up)"
            }
            Self::EmptyLevel => {
                "a required authentication level is empty, so nobody is let through: name at least one \
                 value of `acr` (`Require::checked` finds it at start-up)"
            }
            Self::ClaimPath => {
                "the path of a required claim is empty or has an empty part, so nobody is let through: \
                 write it as `tenant` or `org.id` (`Require::checked` finds it at start-up)"
            }
            Self::MaxAge => {
                "the largest age of a login is less than a second, so nobody is let through (`Require::checked` \
                 finds it at start-up)"
            }
            Self::TooLarge => {
                "a requirement is too large, so nobody is let through: at most 1024 rules and names, and 32 \
                 levels of `and` and `or` (`Require::checked` finds it at start-up)"
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
                "a required scope is empty, as from a variable that is not set: name at \
                                 least one scope in each text, such as `reports:read`"
                    .into()
            }
            Self::MalformedScope(scope) => format!(
                "`{}` is not a scope: use printable ASCII without space, `\"` and `\\`",
                shown(scope)
            ),
            Self::SeveralInOne(text) => format!(
                "`{}` in a list of alternatives names several scopes: write them as alternatives of their \
                 own, or require all of them by `Require::all_of(..)` and combine it by `.or(..)`",
                shown(text)
            ),
            Self::EmptyRole => {
                "a required role is empty, as from a variable that is not set: name at least \
                                one role, such as `auditor`"
                    .into()
            }
            Self::EmptyLevel => {
                "a required authentication level is empty, as from a variable that is not \
                                 set: name at least one value of `acr`, such as `urn:example:gold`"
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
                "the value that the claim `{}` must have is empty, as from a variable that is not set: no \
                 token passes",
                shown(path)
            ),
            Self::MaxAge => "the largest age of a login must be at least 1 second".into(),
            Self::TooLarge => format!(
                "the requirement is too large: use at most {MAX_SIZE} rules and names, and {MAX_DEPTH} \
                 levels of `and` and `or`"
            ),
        }
    }
}
