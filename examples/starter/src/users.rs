//! [`Users`]: the table of who can log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{FromRow, Result};
use tower_jwt_auth::password::PasswordHash;

use crate::database::on_pool;
use crate::{Database, Email};

/// The scope that opens `/admin`. Nobody has it until it is granted.
pub const ADMIN_SCOPE: &str = "admin";

/// The users in the database.
#[derive(Debug, Clone)]
pub struct Users {
    database: Database,
}

/// A row of the table. It has no `Debug`, because of the hash.
#[derive(Clone, FromRow)]
#[allow(missing_debug_implementations)]
pub struct User {
    /// Random, and never another user's: the `sub` of the tokens.
    pub id: String,
    /// As [`Email`] spells it.
    pub email: String,
    /// In the form that names its algorithm.
    pub password_hash: String,
    /// What the user may do, separated by spaces.
    pub scopes: String,
    /// Whether a message to the address has been answered.
    pub email_verified: bool,
    /// A disabled user cannot log in, and gets no further tokens.
    pub disabled: bool,
}

/// The statement for whole rows.
macro_rules! select_user {
    ($condition:literal) => {
        concat!(
            "SELECT id, email, password_hash, scopes, email_verified, disabled FROM users WHERE ",
            $condition
        )
    };
}

// === impl User ===

impl User {
    /// Whether the user may do this.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.split_whitespace().any(|own| own == scope)
    }

    /// Where the user reads messages.
    pub(crate) fn address(&self) -> Email {
        Email::stored(&self.email)
    }
}

// === impl Users ===

impl Users {
    /// The users in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a user without any scope, and returns the id; nothing if the address is taken.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn insert(&self, email: &Email, hash: &PasswordHash) -> Result<Option<String>> {
        let id = new_id()?;
        let query = "INSERT INTO users (id, email, password_hash) VALUES ($1, $2, $3) \
                     ON CONFLICT (email) DO NOTHING";
        let added = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(&id).bind(email.as_str());
            query.bind(hash.as_str()).execute(pool).await?.rows_affected()
        });
        Ok((added == 1).then_some(id))
    }

    /// The user with this address.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn by_email(&self, email: &Email) -> Result<Option<User>> {
        let query = select_user!("email = $1");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(email.as_str()).fetch_optional(pool).await
        })
    }

    /// The user with this id, unless disabled.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn active(&self, id: &str) -> Result<Option<User>> {
        let query = select_user!("id = $1 AND NOT disabled");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(id).fetch_optional(pool).await
        })
    }

    /// Replaces the hash that was read with `user`. Nothing happens if it is another one by now:
    /// a password that was just changed must not come back.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn replace_hash(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
        let replaced = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(new.as_str()).bind(&user.id);
            query.bind(&user.password_hash).execute(pool).await?.rows_affected()
        });
        Ok(replaced == 1)
    }

    /// Sets a new password for whoever has read a message to the address, which is thereby
    /// confirmed. Nothing happens if the user has another password or address by now.
    pub(crate) async fn reset_password(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1, email_verified = TRUE \
                     WHERE id = $2 AND password_hash = $3 AND email = $4 AND NOT disabled";
        let reset = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(new.as_str()).bind(&user.id);
            let query = query.bind(&user.password_hash).bind(&user.email);
            query.execute(pool).await?.rows_affected()
        });
        Ok(reset == 1)
    }

    /// The address is the user's, unless it is another one by now.
    pub(crate) async fn confirm_email(&self, user: &User) -> Result<()> {
        let query = "UPDATE users SET email_verified = TRUE WHERE id = $1 AND email = $2";
        on_pool!(&self.database, pool => {
            sqlx::query(query).bind(&user.id).bind(&user.email).execute(pool).await?;
        });
        Ok(())
    }

    /// Gives the user with this address a scope; false if there is no such user.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn grant(&self, email: &Email, scope: &str) -> Result<bool> {
        // `replace` finds a word in both databases alike; `instr` and `LIKE` do not.
        let query = "UPDATE users SET scopes = CASE \
                         WHEN replace(' ' || scopes || ' ', ' ' || $1 || ' ', '') \
                             = ' ' || scopes || ' ' THEN trim(scopes || ' ' || $1) \
                         ELSE scopes END \
                     WHERE email = $2";
        let granted = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(scope).bind(email.as_str());
            query.execute(pool).await?.rows_affected()
        });
        Ok(granted == 1)
    }

    /// How many there are.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn count(&self) -> Result<i64> {
        let query = "SELECT count(*) FROM users";
        on_pool!(&self.database, pool => sqlx::query_scalar(query).fetch_one(pool).await)
    }
}

/// 128 random bits: nobody can guess an id, or tell from it how many users there are.
fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
