//! [`Users`]: the table of who can log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{FromRow, Result};
use tower_jwt_auth::password::PasswordHash;

use super::callers::Callers;
use crate::database::Database;
use crate::database::on_pool;
use crate::problem::Problem;
use crate::typed::Email;

/// A stored hash that no password matches: that of an account without a password.
pub(crate) const NO_PASSWORD: &str = "!";

/// The users in the database.
#[derive(Debug, Clone)]
pub struct Users {
    pub(crate) database: Database,
    callers: Callers,
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
    /// Whether the owner of the address has proved that it is theirs.
    pub email_verified: bool,
    /// A disabled user cannot log in, and gets no further tokens.
    pub disabled: bool,
    /// Another one after every change of what a login depends on: the address, the password, the scopes, the
    /// second factors, and whether the user is disabled. The database sees to that.
    pub version: i64,
}

/// The statement for whole rows.
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
    /// Whether the user may do this.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.split_whitespace().any(|own| own == scope)
    }

    /// Whether a password can log the user in. An account that was made at a provider has none at first.
    pub(crate) fn has_password(&self) -> bool {
        self.password_hash != NO_PASSWORD
    }

    // chapter: second-factor {
    /// What tries of the second factor are counted under.
    pub(crate) fn second_factor(&self) -> String {
        second_factor_of(&self.id)
    }

    /// What tries to confirm an app are counted under.
    pub(crate) fn enrolment(&self) -> String {
        enrolment_of(&self.id)
    }
    // chapter: second-factor }

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
        let callers = Callers::new(database.clone());
        Self { database, callers }
    }

    /// Adds a user without any scope, whose address is not proved yet, and returns the id. Returns `None` if
    /// the address is taken.
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

    /// Returns the user with this id, unless disabled, for a request with an access token. Requests that are under
    /// way at the same time share a query.
    pub(crate) async fn caller(&self, id: &str) -> Result<Option<User>, Problem> {
        self.callers.read(id).await
    }

    /// Replaces the hash that was read with `user` by another one of the same password. Nothing happens if
    /// it is another one by now: a password that was just changed must not come back.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn replace_hash(&self, user: &User, new: &PasswordHash) -> Result<bool> {
        let query = "UPDATE users SET password_hash = $1, rehashes = rehashes + 1 \
                     WHERE id = $2 AND password_hash = $3";
        self.set_hash(query, user, new).await
    }

    /// Replaces the password that was read with `user`. Nothing happens if it is another one by now.
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

    /// Sets a new password for whoever has read a message to the address, which is proved already. Nothing
    /// happens if the user has another password or address by now.
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
/// What tries of the second factor of a user are counted under.
pub(crate) fn second_factor_of(id: &str) -> String {
    format!("second factor of {id}")
}

/// What tries to confirm an app of a user are counted under.
pub(crate) fn enrolment_of(id: &str) -> String {
    format!("enrolment of {id}")
}
// chapter: second-factor }

/// Whether this can be an id that was made here.
pub(crate) fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == 22 && text.bytes().all(good)
}

/// 128 random bits: nobody can guess an id, or tell from it how many users there are.
pub(crate) fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
