//! [`Users`]: the table of who can log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sqlx::{FromRow, Result};
use tower_jwt_auth::password::PasswordHash;

use crate::database::Database;
use crate::database::on_pool;
use crate::typed::Email;

tower_jwt_auth::scopes! {
    /// Opens `/admin`. Nobody has it until it is granted.
    pub(crate) struct Admin = "admin";
}

/// The name of the scope that opens `/admin`.
pub const ADMIN_SCOPE: &str = Admin::NAME;

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
    /// Whether the owner of the address has proved that it is theirs.
    pub email_verified: bool,
    /// A disabled user cannot log in, and gets no further tokens.
    pub disabled: bool,
    /// Another one after every change of what a login depends on: the address, the password, the scopes, the
    /// second factors, and whether the user is disabled. The database sees to that.
    pub version: i64,
}

/// A user as an admin sees it.
#[derive(Debug, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = User)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) email: String,
    email_verified: bool,
    /// Separated by spaces.
    scopes: String,
    disabled: bool,
    /// Seconds since 1970.
    created_at: i64,
}

/// What became of a change that takes something away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    /// No, because nobody would be left who could undo it.
    LastAdmin,
    /// No, because the user is not as it was read any more.
    SomebodyElse,
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

/// A statement that knows who is an admin and not disabled: for SQLite, which has one writer at a
/// time, and for PostgreSQL, where two admins that disable each other would each see the other still
/// there. So it locks them, always in the same order.
macro_rules! with_admins {
    ($statement:literal) => {
        (
            with_admins!("", $statement),
            with_admins!(" ORDER BY id FOR UPDATE", $statement),
        )
    };
    ($lock:literal, $statement:literal) => {
        concat!(
            "WITH admins AS (SELECT id FROM users WHERE NOT disabled AND \
             replace(' ' || scopes || ' ', ' admin ', '') <> ' ' || scopes || ' '",
            $lock,
            ") ",
            $statement
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

    /// What tries of the second factor are counted under.
    pub(crate) fn second_factor(&self) -> String {
        second_factor_of(&self.id)
    }

    /// What tries to confirm an app are counted under.
    pub(crate) fn enrolment(&self) -> String {
        enrolment_of(&self.id)
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

    /// The user with this id, also if disabled.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<User>> {
        let query = select_user!("id = $1");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(id).fetch_optional(pool).await
        })
    }

    /// At most `limit` users whose address comes after this one.
    pub(crate) async fn page(&self, after: &str, limit: u32) -> Result<Vec<Listed>> {
        let query = "SELECT id, email, email_verified, scopes, disabled, created_at FROM users \
                     WHERE email > $1 ORDER BY email LIMIT $2";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(after).bind(i64::from(limit)).fetch_all(pool).await
        })
    }

    /// Disables a user, but not the last admin.
    pub(crate) async fn disable(&self, id: &str) -> Result<Changed> {
        let query = with_admins!(
            "UPDATE users SET disabled = TRUE WHERE id = $1 AND \
             (disabled OR id NOT IN (SELECT id FROM admins) OR (SELECT count(*) FROM admins) > 1)"
        );
        let changed = match &self.database {
            Database::Sqlite(pool) => {
                let query = sqlx::query(query.0).bind(id);
                query.execute(pool).await?.rows_affected()
            }
            Database::Postgres(pool) => {
                let query = sqlx::query(query.1).bind(id);
                query.execute(pool).await?.rows_affected()
            }
        };
        Ok(if changed == 1 {
            Changed::Yes
        } else {
            Changed::LastAdmin
        })
    }

    /// Lets a user log in again.
    pub(crate) async fn enable(&self, id: &str) -> Result<()> {
        let query = "UPDATE users SET disabled = FALSE WHERE id = $1";
        on_pool!(&self.database, pool => {
            sqlx::query(query).bind(id).execute(pool).await?;
        });
        Ok(())
    }

    /// Replaces the scopes that were read with `user`, but takes `admin` from no last admin.
    pub(crate) async fn set_scopes(&self, user: &User, scopes: &str) -> Result<Changed> {
        let query = with_admins!(
            "UPDATE users SET scopes = $2 WHERE id = $1 AND scopes = $3 AND \
             ($4 OR id NOT IN (SELECT id FROM admins) OR (SELECT count(*) FROM admins) > 1)"
        );
        let stays_admin = scopes.split(' ').any(|scope| scope == ADMIN_SCOPE);
        let changed = match &self.database {
            Database::Sqlite(pool) => {
                let query = sqlx::query(query.0).bind(&user.id).bind(scopes);
                let query = query.bind(&user.scopes).bind(stays_admin);
                query.execute(pool).await?.rows_affected()
            }
            Database::Postgres(pool) => {
                let query = sqlx::query(query.1).bind(&user.id).bind(scopes);
                let query = query.bind(&user.scopes).bind(stays_admin);
                query.execute(pool).await?.rows_affected()
            }
        };
        if changed == 1 {
            return Ok(Changed::Yes);
        }
        let now = self.by_id(&user.id).await?;
        let same = now.is_some_and(|now| now.scopes == user.scopes);
        Ok(if same {
            Changed::LastAdmin
        } else {
            Changed::SomebodyElse
        })
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

/// What tries of the second factor of a user are counted under.
pub(crate) fn second_factor_of(id: &str) -> String {
    format!("second factor of {id}")
}

/// What tries to confirm an app of a user are counted under.
pub(crate) fn enrolment_of(id: &str) -> String {
    format!("enrolment of {id}")
}

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
