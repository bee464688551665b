//! Passwords: hashing, and the policy for new ones.
//!
//! The crate hashes passwords, [`policy`] has the rules, and [`breached`] checks whether a password is
//! known from a breach. Cannot be removed.

pub(crate) mod breached;
mod policy;

pub use policy::{MIN_PASSWORD_CHARS, MIN_PASSWORD_CHARS_WITH_FACTOR, PasswordSettings};
pub(crate) use policy::{Owner, PasswordPolicy};

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};

use crate::accounts::User;
use crate::metrics::Metrics; // chapter: metrics
use crate::operations::digest;
use crate::problem::Problem;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    service: PasswordService,
    metrics: Metrics, // chapter: metrics
}

// === impl Passwords ===

impl Passwords {
    pub(crate) fn new(
        service: PasswordService,
        metrics: Metrics, // chapter: metrics
    ) -> Self {
        Self {
            service,
            metrics, // chapter: metrics
        }
    }

    /// Hashes a password: see [`PasswordService::hash`].
    pub(crate) async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        let hash = self.service.hash(password);
        let hash = self.metrics.password(hash); // chapter: metrics
        hash.await
    }

    /// Verifies a password: see [`PasswordService::verify_stored`].
    pub(crate) async fn verify(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        let verified = self.service.verify_stored(password, stored);
        let verified = self.metrics.password(verified); // chapter: metrics
        verified.await
    }

    /// Compares a password with that of the user. An unknown user and an unusable hash cost the same work,
    /// so that the time does not tell who has an account. The log names the user of an unusable hash, which
    /// a password reset replaces.
    pub(crate) async fn verify_user(
        &self,
        password: &str,
        user: Option<&User>,
    ) -> Result<Verification, Problem> {
        let stored = user.map(|user| user.password_hash.as_str());
        let verified = match self.verify(password, stored).await {
            Err(PasswordError::TooLong { .. }) => return Ok(Verification::Mismatch),
            verified => verified?,
        };
        if let (Verification::UnusableHash { reason }, Some(user)) = (&verified, user) {
            let user = digest(&user.id);
            tracing::warn!(user, %reason, "unusable password hash: the user has to reset the password");
        }
        Ok(verified)
    }

    /// Returns the number of characters: see [`PasswordService::char_count`].
    pub(crate) fn char_count(&self, password: &str) -> usize {
        self.service.char_count(password)
    }
}
