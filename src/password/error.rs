//! [`PasswordError`], the error of hashing and verifying, and [`Unfit`], the error of building a service.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::error::ConfigError;

/// The reason why a password could not be hashed or verified.
///
/// A wrong password is **not** an error: the result is
/// [`Verification::Mismatch`](crate::password::Verification::Mismatch). No variant contains a password, a
/// hash or a secret, so every message may be logged.
///
/// A handler may return it: with the feature `axum` it is a response. For other frameworks there
/// are [`status`](Self::status), [`body`](Self::body) and [`retry_after`](Self::retry_after).
///
/// # Security
///
/// If a stored hash cannot be used, the response is the same as for a wrong password: 401 with
/// `invalid_credentials`. A different response, or a faster one, would reveal that the account exists.
/// [`PasswordService::verify_stored`](crate::PasswordService::verify_stored) takes care of both: it does the
/// work of a wrong password, and returns the reason as a [`Verification`](crate::password::Verification).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// The password is longer than the service accepts.
    TooLong {
        /// The largest number of bytes that is accepted.
        max: usize,
    },
    /// The password is empty.
    Empty,
    /// The password is longer than 72 bytes, and bcrypt would ignore the rest.
    BcryptTooLong,
    /// The password contains a NUL byte, at which bcrypt would stop reading.
    NulByte,
    /// Too many passwords are waiting, or this one has waited too long. The response is a 503 with
    /// `Retry-After`.
    Overloaded {
        /// The time after which the client should retry.
        retry_after: Duration,
    },
    /// The stored hash is empty, or a marker such as `!` or `*`: no password is set for this account.
    NoPassword,
    /// The stored hash is damaged and cannot be parsed. This says nothing about the password.
    InvalidHash {
        /// The part of the stored hash that is wrong.
        reason: &'static str,
    },
    /// The stored hash uses an algorithm that this crate does not verify.
    UnsupportedAlgorithm,
    /// The stored hash needs more memory or time than one verification may use.
    CostTooHigh,
    /// The stored hash was made with a pepper that the service does not have.
    UnknownPepper,
    /// The operating system provided no randomness, memory or thread, or the hashing code panicked.
    Internal,
}

/// The reason why the settings of a password service are invalid. It becomes a [`ConfigError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The Argon2 parameters are weaker than the OWASP minimum.
    BelowFloor,
    /// The Argon2 parameters are above the limits of verification.
    AboveCaps,
    /// The Argon2 parameters are not valid for the algorithm.
    ImpossibleParameters,
    /// The bcrypt cost is out of range.
    BcryptCost {
        /// The lowest cost that is accepted.
        min: u32,
        /// The highest cost that is accepted.
        max: u32,
    },
    /// The number of workers is zero.
    NoWorkers,
    /// The longest wait is zero.
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
    /// A pepper was set, but the service makes bcrypt hashes, which cannot have one.
    PepperWithBcrypt,
}

// === impl PasswordError ===

impl PasswordError {
    /// Returns the status of the response: 400 for a password that cannot be hashed, 401 for a stored hash
    /// that cannot be used, 500 or 503.
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

    /// Returns the time after which the client should retry, or `None` if the status is not 503.
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
            Self::Overloaded { .. } => "Too many passwords are waiting. Try again later.".into(),
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
            Self::BcryptTooLong => "password is longer than 72 bytes, which is all that bcrypt can hash",
            Self::NulByte => "password contains a NUL byte, which bcrypt cannot hash",
            Self::Overloaded { retry_after } => {
                let seconds = retry_after.as_secs();
                return write!(f, "too many passwords are waiting, retry after {seconds} s");
            }
            Self::NoPassword => "stored password hash is empty or a marker such as `!`: no password is set",
            Self::InvalidHash { reason } => {
                return write!(f, "stored password hash cannot be read: {reason}");
            }
            Self::UnsupportedAlgorithm => "stored password hash uses an unsupported algorithm",
            Self::CostTooHigh => "stored password hash needs more memory or time than one verification may use",
            Self::UnknownPepper => "stored password hash was made with an unknown pepper: add it with previous_pepper()",
            Self::Internal => "password hashing failed: the system provided no memory, thread or randomness, or the hashing code panicked",
        })
    }
}

impl Error for PasswordError {}

// === impl Unfit ===

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BelowFloor => {
                "argon2 parameters are weaker than the OWASP minimum: use Argon2Params::DEFAULT or \
                 stronger (19456 KiB with 2 passes, 12288 with 3, 9216 with 4, 7168 with 5, or \
                 47104 with 1)"
            }
            Self::AboveCaps => {
                "argon2 parameters exceed the limits for stored hashes: use at most 1 GiB of \
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
                "bcrypt hashes cannot contain a pepper: leave out pepper() or make_bcrypt_hashes()"
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
