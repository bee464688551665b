//! [`ClaimRule`]: the values that a claim may have.

use serde_json::Value;

use super::ClaimPath;
use crate::error::{AuthError, AuthErrorKind};

/// A claim that must have one of these values.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRule {
    pub(crate) path: ClaimPath,
    pub(crate) values: Box<[Box<str>]>,
    /// Whether the claim must be there.
    pub(crate) required: bool,
}

// === impl ClaimRule ===

impl ClaimRule {
    pub(super) fn check(&self, claims: &Value) -> Result<(), AuthError> {
        let fits = match self.path.find(claims) {
            None | Some(Value::Null) => !self.required,
            Some(Value::String(text)) => self.values.iter().any(|one| **one == **text),
            Some(_) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(AuthError::new(AuthErrorKind::InvalidClaim)
                .because("a claim of the token does not have one of the values that it must have"))
        }
    }
}
