//! What can go wrong with passwords: [`PasswordError`] while serving, [`Unfit`] while building.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::error::ConfigError;

/// Why a password could not be hashed or judged.
///
/// A wrong password is **not** an error: that is
/// [`Verification::Mismatch`](crate::password::Verification::Mismatch). No variant carries a
/// password, a hash or a secret, so every message may be logged.
///
/// A handler may return it: with the feature `axum` it is a response. For other frameworks there
/// are [`status`](Self::status), [`body`](Self::body) and [`retry_after`](Self::retry_after).
///
/// # Security
///
/// Where a stored hash that cannot be used becomes a response, it is told to the client as a wrong
/// password is: 401 `invalid_credentials`. A response of its own would tell that the account
/// exists, and so would a quick one.
/// [`PasswordService::verify_stored`](crate::PasswordService::verify_stored) takes care
/// of both: it does the work of a wrong password and returns the error as a
/// [`Verification`](crate::password::Verification).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// The password is longer than any input the service looks at.
    TooLong {
        /// The most bytes that are accepted.
        max: usize,
    },
    /// An empty password is never hashed.
    Empty,
    /// bcrypt reads 72 bytes and no more, so it is not asked to hash a longer password.
    BcryptTooLong,
    /// bcrypt ends its input at a NUL byte, so it is not asked to hash a password that has one.
    NulByte,
    /// More work is waiting than the machine can do in time. Answer 503 with `Retry-After`.
    Overloaded {
        /// When the client should come back.
        retry_after: Duration,
    },
    /// The stored hash is empty or a mark such as `!` or `*`. The account has no password to log
    /// in with until one is set.
    NoPassword,
    /// The stored hash cannot be read. The row is damaged: this says nothing of the password.
    InvalidHash {
        /// Which part of the stored hash is wrong.
        reason: &'static str,
    },
    /// The stored hash is of a kind that this crate does not verify.
    UnsupportedAlgorithm,
    /// The stored hash asks for more memory or time than one verification may use.
    CostTooHigh,
    /// The stored hash was made with a pepper whose id the service does not know.
    UnknownPepper,
    /// The operating system gave no randomness, memory or thread, or the work panicked.
    Internal,
}

/// What is wrong with the settings of a password service. It becomes a [`ConfigError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The Argon2 parameters are weaker than the OWASP floor.
    BelowFloor,
    /// The Argon2 parameters are over the caps that verification enforces.
    AboveCaps,
    /// The Argon2 parameters contradict the algorithm itself.
    ImpossibleParameters,
    /// The bcrypt cost lies outside the accepted range.
    BcryptCost {
        /// The lowest cost accepted.
        min: u32,
        /// The highest cost accepted.
        max: u32,
    },
    /// Zero workers were asked for.
    NoWorkers,
    /// A wait of zero was asked for.
    NoWait,
    /// The workers together need more memory than the budget.
    MemoryBudget {
        /// The bytes that the workers need.
        needed: u64,
    },
    /// A pepper id is empty or longer than 8 bytes.
    PepperId,
    /// Two peppers have the same id.
    DuplicatePepper,
    /// A pepper's secret is shorter than 32 bytes.
    PepperTooShort,
    /// A pepper was set on a service that makes bcrypt hashes, which cannot carry one.
    PepperWithBcrypt,
}

// === impl PasswordError ===

impl PasswordError {
    /// Returns the status of the response: 400 for a password that cannot be used, 401 for a
    /// stored hash that cannot, 500, or 503.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.verdict().0
    }

    /// Returns the error code of the response: `invalid_request`, `invalid_credentials`,
    /// `temporarily_unavailable` or `server_error`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.verdict().1
    }

    /// Returns the time after which to come back, if the status is 503.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Returns the JSON body of the response, in the form of RFC 6749 section 5.2: `error` and
    /// `error_description`.
    #[must_use]
    pub fn body(&self) -> String {
        let description: Cow<'static, str> = match self {
            Self::TooLong { max } => format!("The password is longer than {max} bytes.").into(),
            Self::Empty => "The password is empty.".into(),
            Self::BcryptTooLong => "The password is longer than 72 bytes.".into(),
            Self::NulByte => "The password contains a NUL character.".into(),
            Self::Overloaded { .. } => "Too many passwords are waiting. Come back later.".into(),
            Self::NoPassword
            | Self::InvalidHash { .. }
            | Self::UnsupportedAlgorithm
            | Self::CostTooHigh
            | Self::UnknownPepper => "The user name or the password is wrong.".into(),
            Self::Internal => "The request could not be processed.".into(),
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    const fn verdict(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLong { .. } | Self::Empty | Self::BcryptTooLong | Self::NulByte => {
                (StatusCode::BAD_REQUEST, "invalid_request")
            }
            Self::NoPassword
            | Self::InvalidHash { .. }
            | Self::UnsupportedAlgorithm
            | Self::CostTooHigh
            | Self::UnknownPepper => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong { max } => return write!(f, "password is longer than {max} bytes"),
            Self::Empty => "password is empty",
            Self::BcryptTooLong => "password is longer than the 72 bytes that bcrypt can hash",
            Self::NulByte => "password has a nul byte, which bcrypt cannot hash",
            Self::Overloaded { retry_after } => {
                let seconds = retry_after.as_secs();
                return write!(f, "too many passwords are waiting, retry after {seconds} s");
            }
            Self::NoPassword => "stored password hash is empty or a mark: no password is set",
            Self::InvalidHash { reason } => {
                return write!(f, "stored password hash cannot be read: {reason}");
            }
            Self::UnsupportedAlgorithm => "stored password hash is of an unsupported algorithm",
            Self::CostTooHigh => "stored password hash costs more than one verification may",
            Self::UnknownPepper => "stored password hash was made with an unknown pepper",
            Self::Internal => "password hashing failed for want of memory, threads or randomness",
        })
    }
}

impl Error for PasswordError {}

// === impl Unfit ===

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BelowFloor => {
                "argon2 parameters are weaker than the owasp floor: use Argon2Params::DEFAULT or \
                 stronger (19456 KiB with 2 passes, 12288 with 3, 9216 with 4, 7168 with 5, or \
                 47104 with 1)"
            }
            Self::AboveCaps => {
                "argon2 parameters are over the caps of verification: use at most 1 GiB of \
                 memory, 20 passes and 16 lanes"
            }
            Self::ImpossibleParameters => {
                "argon2 parameters are impossible: use at least 1 pass, 1 lane and 8 KiB of \
                 memory for each lane"
            }
            Self::BcryptCost { min, max } => {
                return write!(
                    f,
                    "bcrypt cost is out of range: use one from {min} to {max}"
                );
            }
            Self::NoWorkers => "no workers: use at least 1, or leave workers() out",
            Self::NoWait => {
                "max_wait is zero: give it a duration, and use queue_limit(0) to refuse whatever \
                 cannot start at once"
            }
            Self::MemoryBudget { needed } => {
                return write!(
                    f,
                    "workers need {needed} bytes, more than the memory budget: raise \
                     memory_budget(), lower workers() or choose less memory for argon2"
                );
            }
            Self::PepperId => "pepper id must have 1 to 8 bytes: choose a short one such as \"1\"",
            Self::DuplicatePepper => "two peppers have the same id: give each its own",
            Self::PepperTooShort => {
                "pepper secret is shorter than 32 bytes: use 32 bytes from a secure random source"
            }
            Self::PepperWithBcrypt => {
                "bcrypt hashes cannot carry a pepper: leave out pepper() or make_bcrypt_hashes()"
            }
        })
    }
}

impl From<Unfit> for ConfigError {
    fn from(problem: Unfit) -> Self {
        Self::invalid(problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lower_case_without_a_full_stop() {
        let messages = [
            PasswordError::TooLong { max: 1024 }.to_string(),
            PasswordError::Overloaded {
                retry_after: Duration::from_secs(2),
            }
            .to_string(),
            PasswordError::InvalidHash {
                reason: "the salt is not base64",
            }
            .to_string(),
            Unfit::BelowFloor.to_string(),
            Unfit::MemoryBudget { needed: 1 }.to_string(),
        ];
        for message in messages {
            assert!(message.starts_with(|c: char| c.is_lowercase()), "{message}");
            assert!(!message.ends_with('.'), "{message}");
        }
    }

    #[test]
    fn overload_says_when_to_retry() {
        let error = PasswordError::Overloaded {
            retry_after: Duration::from_secs(2),
        };
        assert_eq!(
            error.to_string(),
            "too many passwords are waiting, retry after 2 s"
        );
    }
}
