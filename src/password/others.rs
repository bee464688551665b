//! [`OtherHashes`]: the application's verifiers for hashes that this crate does not read.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::password::error::PasswordError;
use crate::password::hash::damaged;

/// Verifiers that are asked one after the other until one knows the hash.
#[derive(Clone)]
pub(super) struct OtherHashes(Vec<Arc<Verifier>>);

type Verifier = dyn Fn(&str, &str) -> Option<bool> + Send + Sync;

// === impl OtherHashes ===

impl OtherHashes {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(
        &mut self,
        verifier: impl Fn(&str, &str) -> Option<bool> + Send + Sync + 'static,
    ) {
        self.0.push(Arc::new(verifier));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether `password` is correct, or `None` if no verifier knows this kind of hash.
    ///
    /// A panic becomes an error that the client cannot tell from a wrong password. If the pool handled it,
    /// the response would be a 500 for this user only.
    pub(super) fn judge(
        &self,
        password: &str,
        stored: &str,
    ) -> Result<Option<bool>, PasswordError> {
        let ask = || {
            self.0
                .iter()
                .find_map(|verifier| verifier(password, stored))
        };
        catch_unwind(AssertUnwindSafe(ask)).map_err(|_| damaged("its verifier panicked"))
    }
}

impl fmt::Debug for OtherHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtherHashes({})", self.0.len())
    }
}
