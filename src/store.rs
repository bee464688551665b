//! [`StoreError`]: a store that does not answer.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{AuthError, AuthErrorKind};

/// A store could not be reached, or answered with a failure.
///
/// Whatever was asked of it stays unknown: the request is answered with 503, never
/// with 401 and never with a pass.
#[derive(Debug)]
pub struct StoreError {
    source: Box<dyn StdError + Send + Sync>,
}

// === impl StoreError ===

impl StoreError {
    /// From what the driver of the store reports, or a text. It goes to logs: keep tokens and passwords out.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store does not answer")
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::new(AuthErrorKind::Unavailable).with_source(error)
    }
}
