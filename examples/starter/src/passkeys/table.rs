//! [`Table`]: the passkeys of all accounts. It contains no secrets, because a passkey is a public key.

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
/// The longest passkey that is stored, in bytes. One without an attestation has a few hundred.
const MAX_STORED: usize = 8 * 1024;

/// A row of the table.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) user_id: String,
    /// The passkey in the format of the library.
    pub(super) passkey: String,
    /// Whether the passkey is no longer accepted because there may be a copy of it.
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
    /// Whether it is no longer accepted because there may be a copy of it. Then remove it.
    is_refused: bool,
}

/// The outcome of adding a passkey.
#[derive(Debug)]
pub(super) enum Added {
    Yes(Listed),
    /// It is registered already, with this account or another one.
    Exists,
    TooMany,
    /// It is larger than any passkey should be.
    TooLarge,
    /// The account has changed since it was read.
    AccountChanged,
}

/// The outcome of removing a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    Yes,
    NotFound,
    /// Not removed, because nobody could log in to the account any more.
    LastLogin,
    // chapter: second-factor {
    /// Not removed, because it is the last one that logins ask for after the password.
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

    /// Returns the passkeys of the account that are accepted.
    pub(super) async fn usable(&self, user: &str) -> Result<Vec<Stored>> {
        let query = "SELECT id, user_id, passkey, is_refused FROM passkeys \
                     WHERE user_id = $1 AND NOT is_refused ORDER BY created_at, id";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Returns all passkeys of the account, to be excluded from a registration.
    pub(super) async fn all(&self, user: &str) -> Result<Vec<Stored>> {
        let query = "SELECT id, user_id, passkey, is_refused FROM passkeys \
                     WHERE user_id = $1 ORDER BY created_at, id";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Returns the passkey with this id in base64url, whoever owns it.
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

    /// Adds a passkey, unless the account has changed since `user` was read. The caller must run it to its
    /// end: see `on_pool`.
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

    /// Stores what a login has told about a passkey. Returns `false` if the passkey has changed since it
    /// was read.
    pub(super) async fn used(&self, read: &Stored, now_is: &str, is_synced: bool) -> Result<bool> {
        let query = "UPDATE passkeys SET passkey = $1, is_synced = $2, last_used_at = $3 \
                     WHERE id = $4 AND passkey = $5 AND NOT is_refused";
        let used = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now_is).bind(is_synced).bind(now());
            query.bind(&read.id).bind(&read.passkey).execute(pool).await?.rows_affected()
        });
        Ok(used == 1)
    }

    /// Marks a passkey as no longer accepted. Returns whether it was accepted until now. The caller must
    /// run it to its end: see `on_pool`.
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

    /// Renames a passkey. Returns `false` if the account has no such passkey.
    pub(super) async fn rename(&self, user: &str, id: &str, label: &str) -> Result<bool> {
        let query = "UPDATE passkeys SET label = $1 WHERE id = $2 AND user_id = $3";
        let renamed = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(label).bind(id).bind(user);
            query.execute(pool).await?.rows_affected()
        });
        Ok(renamed == 1)
    }

    /// Removes a passkey, but not the last way to log in. The caller must run it to its end: see `on_pool`.
    pub(super) async fn remove(&self, user: &str, id: &str) -> Result<Removed> {
        let begin = self.database.begin_to_write();
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            // Of two removals at once, the second one sees what the first one has left.
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

/// Locks the row of a user. It comes before every change of passkeys, because these change the version of
/// the user, and all code that takes both locks takes this one first.
const LOCK: &str = "UPDATE users SET version = version WHERE id = $1";
/// Locks the row of a user if it has not changed since it was read.
const LOCK_AS_READ: &str =
    "UPDATE users SET version = version WHERE id = $1 AND version = $2 AND NOT disabled";

/// Whether the account has a passkey that is accepted, and whether it has another way to log in.
const LEFT: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1 AND NOT is_refused), ",
    "EXISTS (SELECT 1 FROM users WHERE id = $1 AND password_hash <> $2)",
    " OR EXISTS (SELECT 1 FROM linked_logins WHERE user_id = $1 AND unlinked_at IS NULL)", // chapter: social-login
);
