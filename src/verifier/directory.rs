//! [`Directory`]: several issuers, told apart before any cryptography.

use std::collections::HashMap;
use std::fmt;

use super::single::Single;
use crate::codec::{Compact, Payload};
use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// Who judges the tokens of which issuer.
pub(super) struct Directory {
    by_issuer: HashMap<Box<str>, Single>,
    max_token_bytes: usize,
}

// === impl Directory ===

impl Directory {
    pub(super) fn new(singles: Vec<Single>) -> Result<Self, ConfigError> {
        let mut by_issuer = HashMap::new();
        let mut max_token_bytes = 0;
        for single in singles {
            if single.issuers().is_empty() {
                return Err(ConfigError::MissingIssuer);
            }
            max_token_bytes = single.max_token_bytes().max(max_token_bytes);
            for issuer in single.issuers() {
                if by_issuer.insert(issuer.clone(), single.clone()).is_some() {
                    return Err(ConfigError::DuplicateIssuer(issuer.to_string()));
                }
            }
        }
        if by_issuer.is_empty() {
            return Err(ConfigError::MissingIssuer);
        }
        Ok(Self {
            by_issuer,
            max_token_bytes,
        })
    }

    /// Each verifier, once for each issuer that it trusts but one entry all the same.
    pub(super) fn singles(&self) -> Vec<Single> {
        let mut singles: Vec<Single> = Vec::new();
        for single in self.by_issuer.values() {
            if !singles.iter().any(|known| known.is(single)) {
                singles.push(single.clone());
            }
        }
        singles
    }

    /// Who judges this token, by what it says of itself: whoever that is verifies all of it.
    pub(super) fn of(&self, token: &[u8]) -> Result<&Single, AuthError> {
        let payload = Compact::parse(token, self.max_token_bytes)?.open_unverified()?;
        let payload = Payload::parse(payload, &[])?;
        let issuer = payload.issuer();
        let issuer = issuer.text().ok_or(AuthErrorKind::InvalidIssuer)?;
        self.by_issuer
            .get(issuer)
            .ok_or_else(|| AuthErrorKind::InvalidIssuer.into())
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.by_issuer).finish()
    }
}
