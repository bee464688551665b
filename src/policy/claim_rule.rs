//! [`ClaimRule`]: the values that a claim may have.

use super::ClaimPath;
use super::further::Found;
use crate::error::{AuthError, AuthErrorKind, Reason};

/// A claim that must have one of these values.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRule {
    pub(crate) path: ClaimPath,
    pub(crate) values: Box<[Box<str>]>,
    /// Whether the claim must be present.
    pub(crate) required: bool,
}

// === impl ClaimRule ===

impl ClaimRule {
    pub(super) fn check(&self, found: &Found) -> Result<(), AuthError> {
        let fits = match found {
            Found::Absent => !self.required,
            Found::Text(text) => self.values.contains(text),
            Found::Texts(_) | Found::Other => false,
        };
        if fits {
            Ok(())
        } else {
            Err(AuthError::new(AuthErrorKind::InvalidClaim)
                .because(&Reason { code: "claim_value_not_allowed", message: "a claim of the token does not have one of the values that it must have" }))
        }
    }
}
