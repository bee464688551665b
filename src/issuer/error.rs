//! [`IssueError`]: why a token could not be issued.

use std::fmt;

use crate::error::{AuthError, AuthErrorKind};

/// The error of issuing a token. All variants except [`Internal`](Self::Internal) are mistakes in the
/// program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// A custom claim has a name that is reserved for the issuer. The string is that name.
    ReservedClaim(String),
    /// A claim cannot be serialized as JSON, or a role was added to a `roles` claim that is neither a string
    /// nor an array. The string names the claim.
    InvalidClaim(String),
    /// The claims are not a struct or a map with string keys, or they are nested too deeply.
    InvalidClaims,
    /// A scope is empty, or contains a space, a quote, a backslash, or a character outside printable
    /// ASCII (RFC 6749 section 3.3).
    InvalidScope,
    /// The subject is empty.
    EmptySubject,
    /// The lifetime is under one second, or over the issuer's `max_access_ttl` for an access
    /// token or its `refresh_ttl` for a refresh token.
    InvalidLifetime,
    /// The DPoP proof that the token is bound to was not
    /// [marked as used](crate::dpop::DpopProof::mark_used), so another request may use it as well.
    ProofNotMarkedUsed,
    /// The token would be longer than the 8,192 bytes that a verifier accepts by default.
    TooLong,
    /// The system's random number generator failed, the token could not be signed, or every key of
    /// the ring has expired.
    Internal,
}

// === impl IssueError ===

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedClaim(name) => write!(f, "the claim `{name}` is reserved"),
            Self::InvalidClaim(name) => write!(f, "the claim `{name}` cannot be written as JSON"),
            Self::InvalidClaims => f.write_str(
                "the claims are not a struct or a map with string keys, or they are nested too deeply",
            ),
            Self::InvalidScope => f.write_str(
                "a scope must be printable ASCII without spaces, quotes and backslashes",
            ),
            Self::EmptySubject => f.write_str("the subject is empty"),
            Self::InvalidLifetime => f.write_str(
                "the lifetime is out of range: an access token lives for 1 second to the \
                     issuer's `max_access_ttl`, a refresh token to its `refresh_ttl`",
            ),
            Self::ProofNotMarkedUsed => f.write_str(
                "the DPoP proof that the token is bound to is not marked as used: call `proof.mark_used().await` first",
            ),
            Self::TooLong => f.write_str("the token would be longer than 8192 bytes"),
            Self::Internal => f.write_str("the token could not be signed: the system provided no randomness, or every key of the ring has \
                 expired"),
        }
    }
}

impl std::error::Error for IssueError {}

impl From<IssueError> for AuthError {
    fn from(error: IssueError) -> Self {
        Self::new(AuthErrorKind::Internal).with_source(error)
    }
}
