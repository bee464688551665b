//! [`Proofs`]: passkeys in place of a code, wherever a session asks for the second factor.

use sqlx::Result;

use super::ceremonies::{Ceremonies, Purpose};
use super::table::Table;
use crate::database::Database;
use crate::typed::{LinkSecret, Malformed};

/// What the chapter `second-factor` needs from passkeys.
#[derive(Debug, Clone)]
pub(crate) struct Proofs {
    ceremonies: Ceremonies,
    table: Table,
}

// === impl Proofs ===

impl Proofs {
    pub(crate) fn new(database: &Database) -> Self {
        Self {
            ceremonies: Ceremonies::new(database.clone()),
            table: Table::new(database.clone()),
        }
    }

    /// Parses a code that can be a proof from `POST /auth/passkeys/prove/finish`.
    pub(crate) fn parse(text: &str) -> std::result::Result<LinkSecret, Malformed> {
        LinkSecret::parse(text).ok_or(Malformed::new(
            "The code of a passkey is the `passkey_proof` from `/auth/passkeys/prove/finish`.",
        ))
    }

    /// Returns whether the user has a passkey that is accepted.
    pub(crate) async fn has_any(&self, user: &str) -> Result<bool> {
        Ok(!self.table.usable(user).await?.is_empty())
    }

    /// Returns whether this is a proof of the user, and uses it up.
    pub(crate) async fn take(&self, user: &str, proof: &LinkSecret) -> Result<bool> {
        let taken = self.ceremonies.take(Purpose::Proved, proof.as_str(), user);
        Ok(taken.await?.is_some())
    }
}
