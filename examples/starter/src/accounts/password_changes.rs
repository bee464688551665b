//! [`PasswordChanges`]: what happens with every new password of a user.

use tower_jwt_auth::Sessions;
use tower_jwt_auth::password::PasswordHash;

use super::users::{User, Users};
use crate::limits::Attempts;
use crate::operations::digest;
use crate::outbox::{Notification, Outbox};
use crate::passwords::{PasswordPolicy, Passwords};
use crate::problem::Problem;

/// Checks and hashes new passwords, and tells owners about them.
#[derive(Debug, Clone)]
pub(crate) struct PasswordChanges {
    pub(crate) attempts: Attempts,
    pub(crate) outbox: Outbox,
    pub(crate) passwords: Passwords,
    pub(crate) policy: PasswordPolicy,
    pub(crate) sessions: Sessions,
    pub(crate) users: Users,
}

// === impl PasswordChanges ===

impl PasswordChanges {
    /// Hashes a new password for this user.
    ///
    /// # Errors
    ///
    /// Fails if the policy refuses the password.
    pub(crate) async fn hash(&self, user: &User, new: &str) -> Result<PasswordHash, Problem> {
        self.policy.check_for(user, new).await?;
        Ok(self.passwords.hash(new).await?)
    }

    /// Clears earlier failures, logs the change as `event`, and sends the owner an email, in case somebody
    /// else made the change.
    pub(crate) async fn made(&self, user: &User, event: &'static str) -> Result<(), Problem> {
        self.attempts.new_password(user).await?;
        tracing::info!(event, user = digest(&user.id));
        let notification = Notification::PasswordChanged(user.address());
        self.outbox.post(notification);
        Ok(())
    }
}
