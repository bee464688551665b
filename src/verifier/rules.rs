//! [`Rules`]: what a service that revokes the tokens of a verifier must know about the verifier.

use std::time::Duration;

use super::service::{Issuers, TokenVerifier};
use super::single::Single;
use crate::policy::TokenProfile;

/// Some of the rules for the tokens of one issuer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) profile: TokenProfile,
    pub(crate) max_lifetime: Option<Duration>,
    /// Whether every token must have a `sid`.
    pub(crate) requires_session: bool,
    /// Whether a revocation store is asked.
    pub(crate) asks_store: bool,
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// Returns the rules for each issuer, or `None` if some issuers are known only at run time.
    pub(crate) fn rules(&self) -> Option<Vec<Rules>> {
        match &self.issuers {
            Issuers::One(single) => Some(vec![single.rules()]),
            Issuers::Many(directory) if directory.resolver().is_some() => None,
            Issuers::Many(directory) => {
                Some(directory.singles().iter().map(Single::rules).collect())
            }
        }
    }
}
