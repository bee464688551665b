//! [`Users`]: the table of users.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{FromRow, Result};
use tower_jwt_auth::password::PasswordHash;

use super::callers::Callers;
use crate::database::Database;
use crate::database::on_pool;
use crate::problem::Problem;
use crate::typed::Email;

/// A stored hash that no password matches, for an account without a password.
pub(crate) const NO_PASSWORD: &str = "!";

/// The users in the database.
#[derive(Debug, Clone)]
pub struct Users {
    pub(crate) database: Database,
    callers: Callers,
}

/// A row of the table. It is not `Debug`, because it contains the hash.
#[derive(Clone, FromRow)]
#[allow(missing_debug_implementations)]
pub struct User {
    /// The id, which is random and never reused for another user. It is the `sub` of tokens.
    pub id: String,
    /// The address, in the spelling of [`Email`].
    pub email: String,
    /// The hash of the password, in a format that names its algorithm.
    pub password_hash: String,
    /// The scopes of the user, separated by spaces.
    pub scopes: String,
    /// Whether the owner of the email address has proved that it is theirs.
    pub email_verified: bool,
    /// A disabled user cannot log in or refresh tokens.
    pub disabled: bool,
    /// Changes with everything that a login depends on: the address, the password, the scopes, the second
    /// factors, and whether the user is disabled. A trigger of the database sees to that.
    pub version: i64,
}

/// The beginning of a statement that reads whole rows.
macro_rules! select_user {
    ($condition:literal) => {
        concat!(
            "SELECT id, email, password_hash, scopes, email_verified, disabled, version \
             FROM users WHERE ",
            $condition
        )
    };
}
pub(crate) use select_user;

// === impl User ===

impl User {
    /// Returns whether the user has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.split_whitespace().any(|own| own == scope)
    }

    /// Returns whether the user has a password. An account that was made by a login at a provider has none
    /// at first.
    pub(crate) fn has_password(&self) -> bool {
        self.password_hash != NO_PASSWORD
    }

    // chapter: second-factor {
    /// Returns the key under which attempts at the second factor are counted.
    pub(crate) fn second_factor(&self) -> String {
        second_factor_of(&self.id)
    }

    /// Returns the key under which attempts to confirm an authenticator app are counted.
    pub(crate) fn enrolment(&self) -> String {
        enrolment_of(&self.id)
    }
    // chapter: second-factor }

    /// Returns the address that emails to the user go to.
    pub(crate) fn address(&self) -> Email {
        Email::stored(&self.email)
    }
}

// === impl Users ===

impl Users {
    /// Opens the table in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let callers = Callers::new(database.clone());
        Self { database, callers }
    }

    /// Adds a user without scopes, whose address is not proved yet, and returns the id. Returns `None` if
    /// the address is taken.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
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

    /// Returns the user with this address.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
    pub async fn by_email(&self, email: &Email) -> Result<Option<User>> {
        let query = select_user!("email = $1");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(email.as_str()).fetch_optional(pool).await
        })
    }

    /// Returns the user with this id, unless the user is disabled.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
    pub async fn active(&self, id: &str) -> Result<Option<User>> {
        let query = select_user!("id = $1 AND NOT disabled");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(id).fetch_optional(pool).await
        })
    }

    /// Returns the user with this id, unless disabled, for a request with an access token. Requests that are under
    /// way at the same time share a query.
    pub(crate) async fn caller(&self, id: &str) -> Result<Option<User>, Problem> {
        self.callers.read(id).await
    }

    /// Replaces the hash in `user` with another hash of the same password, and returns whether it did. Does
    /// nothing if the stored hash has changed meanwhile: a password that was just changed must not come back.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
    pub async fn replace_hash(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1, rehashes = rehashes + 1 \
                     WHERE id = $2 AND password_hash = $3";
        self.set_hash(query, user, new).await
    }

    /// Replaces the password in `user`, and returns whether it did. Does nothing if the stored hash has changed
    /// meanwhile.
    pub(crate) async fn change_password(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
        self.set_hash(query, user, new).await
    }

    async fn set_hash(&self, query: &'static str, user: &User, new: &PasswordHash) -> Result<bool> {
        let replaced = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(new.as_str()).bind(&user.id);
            query.bind(&user.password_hash).execute(pool).await?.rows_affected()
        });
        Ok(replaced == 1)
    }

    /// Sets a new password for whoever has read an email to the address, which is proved already, and returns
    /// whether it did. Does nothing if the user has another password or address by now, or is disabled.
    pub(crate) async fn reset_password(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3 \
                     AND email = $4 AND email_verified AND NOT disabled";
        let reset = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(new.as_str()).bind(&user.id);
            let query = query.bind(&user.password_hash).bind(&user.email);
            query.execute(pool).await?.rows_affected()
        });
        Ok(reset == 1)
    }

    /// Returns how many users there are.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
    pub async fn count(&self) -> Result<i64> {
        let query = "SELECT count(*) FROM users";
        on_pool!(&self.database, pool => sqlx::query_scalar(query).fetch_one(pool).await)
    }
}

// chapter: second-factor {
/// Returns the key under which attempts at the second factor are counted.
pub(crate) fn second_factor_of(id: &str) -> String {
    format!("second factor of {id}")
}

/// Returns the key under which attempts to confirm an authenticator app are counted.
pub(crate) fn enrolment_of(id: &str) -> String {
    format!("enrolment of {id}")
}
// chapter: second-factor }

/// Returns whether a text has the form of the ids that [`new_id`] makes.
pub(crate) fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == 22 && text.bytes().all(good)
}

/// Returns an id of 128 random bits. Nobody can guess it, or tell from it how many users there are.
pub(crate) fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
