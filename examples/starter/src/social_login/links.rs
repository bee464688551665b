//! [`Links`]: which login at a provider opens which account.
//!
//! A login is identified by its issuer and its subject (OpenID Connect Core section 5.7), never by an email
//! address: an address may belong to somebody else later.

use serde::Serialize;
use sqlx::{FromRow, Result};
use utoipa::ToSchema;

use crate::database::Database;
use crate::database::on_pool;
use crate::times::now;

/// The table of linked logins.
#[derive(Debug, Clone)]
pub(super) struct Links {
    database: Database,
}

/// A login that is linked to a user.
#[derive(FromRow)]
pub(super) struct Link {
    pub(super) issuer: String,
    pub(super) linked_at: i64,
    pub(super) used_at: Option<i64>,
}

/// A login at a provider as it is stored. Times are seconds since 1970.
#[derive(Serialize, FromRow, ToSchema)]
#[schema(as = StoredLinkedLogin)]
pub(crate) struct StoredLink {
    issuer: String,
    subject: String,
    linked_at: i64,
    used_at: Option<i64>,
    /// When the user unlinked it. An unlinked login cannot log in.
    unlinked_at: Option<i64>,
}

/// The owner of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// The user with this id.
    User(String),
    /// Nobody, because the user has unlinked it. It cannot log in until it is linked again.
    Unlinked,
    Nobody,
}

/// The reason for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The user asked for it while logged in.
    User,
    /// The provider and the account have proved the same address. This does not restore a login that the user has
    /// unlinked.
    Address,
}

/// The outcome of linking a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// It was linked already.
    Before,
    /// It is linked to another account.
    Taken,
    /// The account has another login of the same issuer.
    OtherLogin,
    /// The user has unlinked the login of this issuer.
    Unlinked,
}

/// The outcome of unlinking a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    Yes,
    /// No such login is linked.
    NotThere,
    /// Not unlinked, because the user could not log in any more.
    LastWay,
}

// === impl Links ===

impl Links {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns the owner of a login, and records that it was used now.
    pub(super) async fn holder(&self, issuer: &str, subject: &str) -> Result<Holder> {
        let query = "UPDATE linked_logins SET used_at = $3 WHERE issuer = $1 AND subject = $2 \
                     AND unlinked_at IS NULL RETURNING user_id";
        let mut ids: Vec<String> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(issuer).bind(subject);
            query.bind(now()).fetch_all(pool).await?
        });
        if let Some(id) = ids.pop() {
            return Ok(Holder::User(id));
        }
        let query = "SELECT count(*) FROM linked_logins WHERE issuer = $1 AND subject = $2";
        let unlinked: i64 = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(issuer).bind(subject).fetch_one(pool).await?
        });
        Ok(if unlinked > 0 {
            Holder::Unlinked
        } else {
            Holder::Nobody
        })
    }

    /// Links a login to a user. Each login has one user, and each user has at most one login of an issuer.
    /// The caller must run it to its end: see `on_pool`.
    pub(super) async fn add(
        &self,
        user: &str,
        issuer: &str,
        subject: &str,
        by: By,
    ) -> Result<Added> {
        let begin = self.database.begin_to_write();
        let there: Vec<(String, String, Option<i64>)> = on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            if by == By::User {
                let query = "DELETE FROM linked_logins WHERE issuer = $1 \
                             AND (subject = $2 OR user_id = $3) AND unlinked_at IS NOT NULL";
                let query = sqlx::query(query).bind(issuer).bind(subject).bind(user);
                query.execute(&mut *transaction).await?;
            }
            let query = "INSERT INTO linked_logins (issuer, subject, user_id, linked_at) \
                         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            let query = sqlx::query(query).bind(issuer).bind(subject).bind(user).bind(now());
            if query.execute(&mut *transaction).await?.rows_affected() == 1 {
                transaction.commit().await?;
                return Ok(Added::New);
            }
            let query = "SELECT subject, user_id, unlinked_at FROM linked_logins \
                         WHERE issuer = $1 AND (subject = $2 OR user_id = $3)";
            let query = sqlx::query_as(query).bind(issuer).bind(subject).bind(user);
            let there = query.fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            there
        });
        if there
            .iter()
            .any(|(_, _, unlinked_at)| unlinked_at.is_some())
        {
            return Ok(Added::Unlinked);
        }
        let holder = there.iter().find(|(its, _, _)| its == subject);
        Ok(match holder {
            Some((_, holder, _)) if holder == user => Added::Before,
            Some(_) => Added::Taken,
            None => Added::OtherLogin,
        })
    }

    /// Returns the logins of a user. The oldest comes first.
    pub(super) async fn of(&self, user: &str) -> Result<Vec<Link>> {
        let query = "SELECT issuer, linked_at, used_at FROM linked_logins \
                     WHERE user_id = $1 AND unlinked_at IS NULL ORDER BY linked_at, issuer";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Returns all logins of a user, including those that were unlinked.
    pub(super) async fn stored(&self, user: &str) -> Result<Vec<StoredLink>> {
        let query = "SELECT issuer, subject, linked_at, used_at, unlinked_at FROM linked_logins \
                     WHERE user_id = $1 ORDER BY linked_at, issuer";
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Unlinks the login of this issuer, unless it is the last way to log in. Only logins of `usable`
    /// issuers count. The row is kept as unlinked, so that the proof of an address does not restore it: a
    /// user may unlink a login because somebody else can use it. The caller must run it to its end: see
    /// `on_pool`.
    pub(super) async fn remove(
        &self,
        user: &str,
        issuer: &str,
        usable: &[String],
    ) -> Result<Removed> {
        let begin = self.database.begin_to_write();
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            // Of two removals at once, the second one waits here, and finds the first one done.
            let query = "UPDATE users SET version = version WHERE id = $1";
            sqlx::query(query).bind(user).execute(&mut *transaction).await?;
            let query =
                "SELECT issuer FROM linked_logins WHERE user_id = $1 AND unlinked_at IS NULL";
            let query = sqlx::query_scalar(query).bind(user);
            let linked: Vec<String> = query.fetch_all(&mut *transaction).await?;
            let mut ways: i64 = 0;
            for &query in OTHER_WAYS {
                let query = sqlx::query_scalar(query).bind(user);
                let counted: i64 = query.fetch_one(&mut *transaction).await?;
                ways += counted;
            }
            let removed = judge(&linked, issuer, usable, ways);
            if removed == Removed::Yes {
                let query = "UPDATE linked_logins SET unlinked_at = $3 \
                             WHERE user_id = $1 AND issuer = $2";
                let query = sqlx::query(query).bind(user).bind(issuer).bind(now());
                query.execute(&mut *transaction).await?;
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(removed)
        })
    }
}

/// The other ways in which a user may log in, each counted.
const OTHER_WAYS: &[&str] = &[
    "SELECT count(*) FROM users WHERE id = $1 AND password_hash <> '!'", // a password
    "SELECT count(*) FROM passkeys WHERE user_id = $1 AND NOT is_refused", // chapter: passkeys
];

fn judge(linked: &[String], issuer: &str, usable: &[String], other_ways: i64) -> Removed {
    let mut others = linked.iter().filter(|one| *one != issuer);
    if !linked.iter().any(|one| one == issuer) {
        Removed::NotThere
    } else if other_ways > 0 || others.any(|one| usable.contains(one)) {
        Removed::Yes
    } else {
        Removed::LastWay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_way_to_log_in_is_kept() {
        let texts =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
        for (linked, usable, other_ways, judged) in [
            (&["a"][..], &["a"][..], 1, Removed::Yes),
            (&["a"], &["a"], 0, Removed::LastWay),
            (&["a", "b"], &["a", "b"], 0, Removed::Yes),
            (&["a", "b"], &["a"], 0, Removed::LastWay),
            (&["b"], &["a", "b"], 1, Removed::NotThere),
            (&[], &["a"], 0, Removed::NotThere),
        ] {
            let found = judge(&texts(linked), "a", &texts(usable), other_ways);
            assert_eq!(found, judged, "{linked:?} {usable:?} {other_ways}");
        }
    }
}
