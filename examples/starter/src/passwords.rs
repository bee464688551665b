//! [`Passwords`]: the crate's service, measured.

use std::time::Instant;

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};

use crate::metrics::Metrics;

/// Hashes and verifies passwords, and counts how long that takes.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    service: PasswordService,
    metrics: Metrics,
}

// === impl Passwords ===

impl Passwords {
    pub(crate) fn new(service: PasswordService, metrics: Metrics) -> Self {
        Self { service, metrics }
    }

    /// See [`PasswordService::hash`].
    pub(crate) async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        self.measured(self.service.hash(password)).await
    }

    /// See [`PasswordService::verify_stored`].
    pub(crate) async fn verify(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        self.measured(self.service.verify_stored(password, stored))
            .await
    }

    /// See [`PasswordService::char_count`].
    pub(crate) fn char_count(&self, password: &str) -> usize {
        self.service.char_count(password)
    }

    async fn measured<T>(
        &self,
        work: impl Future<Output = Result<T, PasswordError>>,
    ) -> Result<T, PasswordError> {
        let _waiting = self.metrics.password_waits();
        let start = Instant::now();
        let done = work.await;
        let outcome = match &done {
            Ok(_) => "done",
            Err(PasswordError::Overloaded { .. }) => "overloaded",
            Err(_) => "refused",
        };
        self.metrics.password(outcome, start.elapsed());
        done
    }
}
