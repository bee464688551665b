//! [`Table`]: the passkeys of all accounts. There is no secret in it: a passkey is a public key.

use serde::Serialize;
use sqlx::{FromRow, Result};
use utoipa::ToSchema;
use webauthn_rs::prelude::Passkey;

use crate::accounts::{NO_PASSWORD, User, new_id};
use crate::database::{Database, on_pool};
use crate::times::now;

/// How many passkeys an account may have.
pub(super) const MAX_PASSKEYS: i64 = 20;
/// The longest id that WebAuthn Level 3 allows, in base64url.
const MAX_CREDENTIAL_ID: usize = 1364;
/// The longest passkey that is stored. One without an attestation has a few hundred bytes.
const MAX_STORED: usize = 8 * 1024;

/// A row.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) user_id: String,
    /// As the library writes it.
    pub(super) passkey: String,
    /// Whether it is not accepted any more, because there may be a copy of it.
    pub(super) is_refused: bool,
}

/// A passkey as its owner sees it.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[schema(as = Passkey)]
pub(crate) struct Listed {
    id: String,
    label: String,
    /// Seconds since 1970.
    created_at: i64,
    /// Seconds since 1970.
    last_used_at: Option<i64>,
    /// Whether it is in a keychain that several devices share.
    is_synced: bool,
    /// Whether it is not accepted any more, because there may be a copy of it. Remove it then.
    is_refused: bool,
}

/// What became of a new passkey.
#[derive(Debug)]
pub(super) enum Added {
    Yes(Listed),
    /// It is registered already, here or with another account.
    Exists,
    TooMany,
    /// It is larger than any passkey should be.
    TooLarge,
    /// The account is not as it was read any more.
    AccountChanged,
}

/// What became of the removal of a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    Yes,
    NotFound,
    /// No, because nobody could log in to the account any more.
    LastLogin,
    // chapter: second-factor {
    /// No, because logins ask for a passkey after the password, and this is the last one.
    SecondFactor,
    // chapter: second-factor }
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    database: Database,
}

// === impl Stored ===

impl Stored {
    pub(super) fn passkey(&self) -> serde_json::Result<Passkey> {
        serde_json::from_str(&self.passkey)
    }
}

// === impl Table ===

impl Table {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Those of the account that are accepted.
    pub(super) async fn usable(&self, user: &str) -> Result<Vec<Stored>> {
        let query = "SELECT id, user_id, passkey, is_refused FROM passkeys \
                     WHERE user_id = $1 AND NOT is_refused ORDER BY created_at, id";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// All of the account that are to be excluded from a registration.
    pub(super) async fn all(&self, user: &str) -> Result<Vec<Stored>> {
        let query = "SELECT id, user_id, passkey, is_refused FROM passkeys \
                     WHERE user_id = $1 ORDER BY created_at, id";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// The passkey with this id in base64url, whoever has it.
    pub(super) async fn by_credential(&self, credential: &str) -> Result<Option<Stored>> {
        if credential.len() > MAX_CREDENTIAL_ID {
            return Ok(None);
        }
        let query = "SELECT id, user_id, passkey, is_refused FROM passkeys \
                     WHERE credential_id = $1";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(credential).fetch_optional(pool).await
        })
    }

    pub(super) async fn list(&self, user: &str) -> Result<Vec<Listed>> {
        let query = "SELECT id, label, created_at, last_used_at, is_synced, is_refused \
                     FROM passkeys WHERE user_id = $1 ORDER BY created_at, id";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Adds a passkey to the account as it was read with `user`. It must run to its end: see `on_pool`.
    pub(super) async fn add(
        &self,
        user: &User,
        credential: &str,
        passkey: &str,
        is_synced: bool,
        label: &str,
    ) -> Result<Added> {
        if credential.len() > MAX_CREDENTIAL_ID || passkey.len() > MAX_STORED {
            return Ok(Added::TooLarge);
        }
        let added = Listed {
            id: new_id()?,
            label: label.to_owned(),
            created_at: now(),
            last_used_at: None,
            is_synced,
            is_refused: false,
        };
        let begin = self.database.begin_to_write();
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            let query = sqlx::query(LOCK_AS_READ).bind(&user.id).bind(user.version);
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(Added::AccountChanged);
            }
            let query = "SELECT count(*) FROM passkeys WHERE user_id = $1";
            let query = sqlx::query_scalar(query).bind(&user.id);
            let count: i64 = query.fetch_one(&mut *transaction).await?;
            if count >= MAX_PASSKEYS {
                transaction.rollback().await?;
                return Ok(Added::TooMany);
            }
            let query = "INSERT INTO passkeys (id, user_id, credential_id, passkey, label, is_synced, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (credential_id) DO NOTHING";
            let query = sqlx::query(query).bind(&added.id).bind(&user.id).bind(credential);
            let query = query.bind(passkey).bind(label).bind(is_synced).bind(added.created_at);
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(Added::Exists);
            }
            transaction.commit().await?;
        });
        Ok(Added::Yes(added))
    }

    /// Keeps what a login has told of a passkey. Returns false if it is not as it was read any more.
    pub(super) async fn used(&self, read: &Stored, now_is: &str, is_synced: bool) -> Result<bool> {
        let query = "UPDATE passkeys SET passkey = $1, is_synced = $2, last_used_at = $3 \
                     WHERE id = $4 AND passkey = $5 AND NOT is_refused";
        let used = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now_is).bind(is_synced).bind(now());
            query.bind(&read.id).bind(&read.passkey).execute(pool).await?.rows_affected()
        });
        Ok(used == 1)
    }

    /// From now on it is not accepted. Returns whether it was until now. It must run to its end: see
    /// `on_pool`.
    pub(super) async fn refuse(&self, passkey: &Stored) -> Result<bool> {
        let begin = self.database.begin_to_write();
        let refused = on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            let query = sqlx::query(LOCK).bind(&passkey.user_id);
            query.execute(&mut *transaction).await?;
            let query = "UPDATE passkeys SET is_refused = TRUE WHERE id = $1 AND NOT is_refused";
            let query = sqlx::query(query).bind(&passkey.id);
            let refused = query.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            refused
        });
        Ok(refused == 1)
    }

    /// Gives it another name; false if the account has no such passkey.
    pub(super) async fn rename(&self, user: &str, id: &str, label: &str) -> Result<bool> {
        let query = "UPDATE passkeys SET label = $1 WHERE id = $2 AND user_id = $3";
        let renamed = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(label).bind(id).bind(user);
            query.execute(pool).await?.rows_affected()
        });
        Ok(renamed == 1)
    }

    /// Removes a passkey, but not the last way to log in. It must run to its end: see `on_pool`.
    pub(super) async fn remove(&self, user: &str, id: &str) -> Result<Removed> {
        let begin = self.database.begin_to_write();
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            // Of two removals at once, the second sees what the first has left.
            let query = sqlx::query(LOCK).bind(user);
            query.execute(&mut *transaction).await?;
            let query = "DELETE FROM passkeys WHERE id = $1 AND user_id = $2";
            let query = sqlx::query(query).bind(id).bind(user);
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(Removed::NotFound);
            }
            let left: (bool, bool) = {
                let query = sqlx::query_as(LEFT).bind(user).bind(NO_PASSWORD);
                query.fetch_one(&mut *transaction).await?
            };
            let (has_passkey, has_other_login) = left;
            if !has_passkey && !has_other_login {
                transaction.rollback().await?;
                return Ok(Removed::LastLogin);
            }
            // chapter: second-factor {
            let query = "SELECT count(*) FROM second_factors \
                         WHERE user_id = $1 AND kind = 'passkey' AND confirmed";
            let query = sqlx::query_scalar(query).bind(user);
            let asked_for: i64 = query.fetch_one(&mut *transaction).await?;
            if !has_passkey && asked_for > 0 {
                transaction.rollback().await?;
                return Ok(Removed::SecondFactor);
            }
            // chapter: second-factor }
            transaction.commit().await?;
        });
        Ok(Removed::Yes)
    }
}

/// Locks the row of a user. It comes before every change of passkeys: these change the version of the user,
/// and whoever takes two locks takes this one first.
const LOCK: &str = "UPDATE users SET version = version WHERE id = $1";
/// Does the same if the user is still as it was read.
const LOCK_AS_READ: &str =
    "UPDATE users SET version = version WHERE id = $1 AND version = $2 AND NOT disabled";

/// Whether the account has a passkey that is accepted, and whether it has another way to log in.
const LEFT: &str = concat!(
    "SELECT \
         EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1 AND NOT is_refused), \
         EXISTS (SELECT 1 FROM users WHERE id = $1 AND password_hash <> $2)",
    " OR EXISTS (SELECT 1 FROM linked_logins WHERE user_id = $1 AND unlinked_at IS NULL)", // chapter: social-login
);
