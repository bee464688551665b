//! [`Accounts`]: how an account comes to be, and whose it is.
//!
//! Anybody can register any address. So nothing that was set before an address was proved belongs to
//! its owner: not the password, not a session, not a second factor. [`Accounts::prove`] is the one
//! place where an address comes to be proved, whatever proves it.

mod proof;
mod registrations;
mod removed;

pub use proof::{Claimant, ProofError, Proved};
pub(crate) use registrations::{Purpose, Registration, Registrations};

use sqlx::Result;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::password::PasswordHash;

use crate::avatars::Avatars;
use crate::{Database, Email, Users};

/// The accounts, with what hangs on them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    database: Database,
    users: Users,
    sessions: Sessions,
    avatars: Avatars,
    pub(crate) registrations: Registrations,
    /// Whether a registration makes an account that can be used at once.
    before_proof: bool,
}

// === impl Accounts ===

impl Accounts {
    /// `before_proof` tells whether an account can be used before its address is proved.
    pub(crate) fn new(
        database: &Database,
        sessions: &Sessions,
        avatars: &Avatars,
        before_proof: bool,
    ) -> Self {
        Self {
            database: database.clone(),
            users: Users::new(database.clone()),
            sessions: sessions.clone(),
            avatars: avatars.clone(),
            registrations: Registrations::new(database.clone()),
            before_proof,
        }
    }

    /// Keeps a registration, and returns its id. The same is done whether or not the address has an
    /// account.
    pub(crate) async fn register(&self, email: &Email, hash: &PasswordHash) -> Result<String> {
        let id = self.registrations.register(email, hash.as_str()).await?;
        if self.before_proof {
            self.users.insert(email, hash).await?;
        }
        Ok(id)
    }
}
