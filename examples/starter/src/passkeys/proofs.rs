//! [`Proofs`]: passkeys in the place of a code, wherever a second factor is asked for in a session.

use sqlx::Result;

use super::ceremonies::{Ceremonies, Purpose};
use super::table::Table;
use crate::database::Database;
use crate::typed::{LinkSecret, Malformed};

/// What the chapter of the second factors needs of passkeys.
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

    /// What was sent as a code, if it can be a proof from `POST /auth/passkeys/prove/finish`.
    pub(crate) fn parse(text: &str) -> std::result::Result<LinkSecret, Malformed> {
        LinkSecret::parse(text).ok_or(Malformed::new(
            "The code of a passkey is the `passkey_proof` from `/auth/passkeys/prove/finish`.",
        ))
    }

    /// Whether the user has a passkey that is accepted.
    pub(crate) async fn has_any(&self, user: &str) -> Result<bool> {
        Ok(!self.table.usable(user).await?.is_empty())
    }

    /// Whether this is a proof of the user. It is used up by that.
    pub(crate) async fn take(&self, user: &str, proof: &LinkSecret) -> Result<bool> {
        let taken = self.ceremonies.take(Purpose::Proved, proof.as_str(), user);
        Ok(taken.await?.is_some())
    }
}
