//! The queries of admins on the table of users.

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, Result};
use utoipa::ToSchema;

use crate::accounts::{User, Users, select_user};
use crate::database::{Database, on_pool};
use crate::typed::Email;

tower_jwt_auth::scopes! {
    /// The scope that opens `/admin`. No user has it until it is granted.
    pub(super) struct Admin = "admin";
}

/// The name of the scope that opens `/admin`.
pub const ADMIN_SCOPE: &str = Admin::NAME;

/// A user as an admin sees it.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[schema(as = User)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) email: String,
    email_verified: bool,
    /// The scopes, separated by spaces.
    scopes: String,
    disabled: bool,
    /// Seconds since 1970.
    created_at: i64,
}

/// The outcome of a change that takes something away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Yes,
    /// Not changed, because nobody would be left who could undo it.
    LastAdmin,
    /// Not changed, because the user has changed since it was read.
    SomebodyElse,
}

/// Builds a statement that can use the active admins as `admins`. SQLite has one writer at a time. On PostgreSQL, two
/// admins who disable each other at once would each still see the other. So there the statement locks the
/// admins, always in the same order.
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

/// Extends a statement about the user with the id `$1`, which ends in a condition, so that it spares the
/// last admin.
pub(crate) fn but_last_admin(
    database: &Database,
    statement: &'static str,
) -> AssertSqlSafe<String> {
    let admins = match database {
        Database::Sqlite(_) => with_admins!("", ""),
        Database::Postgres(_) => with_admins!(" ORDER BY id FOR UPDATE", ""), // chapter: postgres
    };
    AssertSqlSafe(format!(
        "{admins}{statement} AND \
         (id NOT IN (SELECT id FROM admins) OR (SELECT count(*) FROM admins) > 1)"
    ))
}

// === impl Users ===

impl Users {
    /// Returns the user with this id, even if disabled.
    pub(super) async fn by_id(&self, id: &str) -> Result<Option<User>> {
        let query = select_user!("id = $1");
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(id).fetch_optional(pool).await
        })
    }

    /// Returns at most `limit` users whose address comes after this one.
    pub(super) async fn page(&self, after: &str, limit: u32) -> Result<Vec<Listed>> {
        let query = "SELECT id, email, email_verified, scopes, disabled, created_at FROM users \
                     WHERE email > $1 ORDER BY email LIMIT $2";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(after).bind(i64::from(limit)).fetch_all(pool).await
        })
    }

    /// Returns whether this user is the only active admin.
    pub(crate) async fn is_last_admin(&self, id: &str) -> Result<bool> {
        let query = with_admins!(
            "",
            "SELECT count(*) FROM admins HAVING count(*) = 1 AND max(id) = $1"
        );
        let last: Option<i64> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(id).fetch_optional(pool).await?
        });
        Ok(last.is_some())
    }

    /// Disables a user, except the last admin.
    pub(super) async fn disable(&self, id: &str) -> Result<Changed> {
        let query = with_admins!(
            "UPDATE users SET disabled = TRUE WHERE id = $1 AND \
             (disabled OR id NOT IN (SELECT id FROM admins) OR (SELECT count(*) FROM admins) > 1)"
        );
        let changed = match &self.database {
            Database::Sqlite(pool) => {
                let query = sqlx::query(query.0).bind(id);
                query.execute(pool).await?.rows_affected()
            }
            // chapter: postgres {
            Database::Postgres(pool) => {
                let query = sqlx::query(query.1).bind(id);
                query.execute(pool).await?.rows_affected()
            } // chapter: postgres }
        };
        Ok(if changed == 1 {
            Changed::Yes
        } else {
            Changed::LastAdmin
        })
    }

    /// Enables a user, who can then log in again.
    pub(super) async fn enable(&self, id: &str) -> Result<()> {
        let query = "UPDATE users SET disabled = FALSE WHERE id = $1";
        on_pool!(&self.database, pool => {
            sqlx::query(query).bind(id).execute(pool).await?;
        });
        Ok(())
    }

    /// Replaces the scopes in `user`. Does not take `admin` from the last admin.
    pub(super) async fn set_scopes(&self, user: &User, scopes: &str) -> Result<Changed> {
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
            // chapter: postgres {
            Database::Postgres(pool) => {
                let query = sqlx::query(query.1).bind(&user.id).bind(scopes);
                let query = query.bind(&user.scopes).bind(stays_admin);
                query.execute(pool).await?.rows_affected()
            } // chapter: postgres }
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

    /// Gives the user with this address a scope. Returns `false` if there is no such user.
    ///
    /// # Errors
    ///
    /// Fails if the database is unavailable.
    pub async fn grant(&self, email: &Email, scope: &str) -> Result<bool> {
        // `replace` compares words alike in both databases. `instr` and `LIKE` do not.
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
}
