//! [`EmailChanges`]: pending changes of an email address, at most one for each user.
//!
//! The address changes once the links in the emails to the new and to the old address are both confirmed.
//! The first link proves the new address, the second one is the owner's consent. Any other change of the
//! account in between ends the pending change.

mod routes;

pub(super) use routes::{Pending, link_routes, routes};

use std::time::Duration;

use sqlx::{FromRow, Result};

use super::one_time_tokens::{digest, random_token};
use super::users::{User, Users, new_id};
use crate::database::{Database, on_pool};
use crate::limits::{Quota, Quotas};
use crate::times::{SKEW, now, seconds};
use crate::typed::Email;

/// How long both links can be confirmed.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How many changes a user may begin within [`PER_USER_WINDOW`].
const PER_USER: i64 = 5;
const PER_USER_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// How many links an address gets within [`PER_ADDRESS_WINDOW`], whoever asks for them.
const PER_ADDRESS: i64 = 5;
const PER_ADDRESS_WINDOW: Duration = Duration::from_secs(15 * 60);

/// The table of pending changes. It contains only the SHA-256 of the links.
#[derive(Debug, Clone)]
pub(crate) struct EmailChanges {
    database: Database,
    users: Users,
    quotas: Quotas,
}

/// Which of the two addresses a link goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    New,
    Old,
}

/// The outcome of a request for a change.
#[derive(Debug)]
enum Begun {
    /// The id of the change.
    Yes(String),
    /// The user has begun too many changes, and can begin another after this time.
    TooMany(Duration),
    /// The user has changed since it was read.
    SomebodyElse,
}

/// The link for one side of a change. It is not `Debug`, because it contains the token.
pub(crate) enum ChangeLink {
    Made {
        token: String,
        new_email: Email,
    },
    /// There is no link, because the new address already has an account.
    Taken,
}

/// A change as it was found.
#[derive(FromRow)]
pub(super) struct EmailChange {
    id: String,
    user_id: String,
    /// The new address.
    email: String,
    /// The session that asked for the change.
    session_id: String,
    new_confirmed: bool,
    old_confirmed: bool,
    expires_at: i64,
}

/// The columns of [`EmailChange`], for an open change: one that has not expired, and whose user has not
/// changed since it began.
macro_rules! columns {
    () => {
        "id, user_id, email, session_id, new_confirmed, old_confirmed, expires_at"
    };
}
macro_rules! is_open {
    ($now:literal, $latest:literal) => {
        concat!(
            "expires_at > ",
            $now,
            " AND created_at <= ",
            $latest,
            " AND version = (SELECT u.version FROM users AS u \
               WHERE u.id = email_changes.user_id AND NOT u.disabled)"
        )
    };
}

/// Locks the user of an open change that both sides have confirmed, until the end of the transaction.
/// Setting a column to its own value gives the user no new version.
pub(super) const CLAIM: &str = "UPDATE users SET rehashes = rehashes \
     WHERE id = $1 AND NOT disabled AND version = \
         (SELECT c.version FROM email_changes AS c WHERE c.id = $2 AND c.user_id = $1 \
         AND c.new_confirmed AND c.old_confirmed AND c.expires_at > $3)";
/// Ends the change that was claimed.
pub(super) const FINISH: &str = "DELETE FROM email_changes WHERE id = $1";

// === impl EmailChanges ===

impl EmailChanges {
    pub(crate) fn new(database: &Database) -> Self {
        Self {
            database: database.clone(),
            users: Users::new(database.clone()),
            quotas: Quotas::new(database.clone()),
        }
    }

    /// Begins a change. It replaces a pending one, whose links are not valid any more.
    async fn begin(&self, user: &User, email: &Email, session: &str) -> Result<Begun> {
        let quota = Quota {
            kind: "email_changes",
            of: &user.id,
            limit: PER_USER,
            window: seconds(PER_USER_WINDOW),
        };
        if let Some(wait) = self.quotas.take(quota).await? {
            return Ok(Begun::TooMany(wait));
        }
        let (id, now) = (new_id()?, now());
        let query = "INSERT INTO email_changes AS c \
                         (user_id, id, email, session_id, version, created_at, expires_at) \
                     SELECT u.id, $2, $3, $4, u.version, $6, $7 FROM users AS u \
                     WHERE u.id = $1 AND u.version = $5 AND NOT u.disabled \
                     ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, email = excluded.email, \
                         session_id = excluded.session_id, version = excluded.version, \
                         new_link = NULL, old_link = NULL, \
                         new_confirmed = FALSE, old_confirmed = FALSE, \
                         created_at = excluded.created_at, expires_at = excluded.expires_at";
        let begun = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(&user.id).bind(&id).bind(email.as_str());
            let query = query.bind(session).bind(user.version);
            let query = query.bind(now).bind(now + seconds(LIFETIME));
            query.execute(pool).await?.rows_affected()
        });
        Ok(match begun {
            1 => Begun::Yes(id),
            _ => Begun::SomebodyElse,
        })
    }

    /// Makes the link for one side of an open change. Returns `None` if the change is not open, if that
    /// side has a link already, or if the new address has had too many links in [`PER_ADDRESS_WINDOW`].
    pub(crate) async fn link(&self, change: &str, side: Side) -> Result<Option<ChangeLink>> {
        let Some(found) = self.by_id(change).await? else {
            return Ok(None);
        };
        if side == Side::New {
            let quota = Quota {
                kind: "email_change_links",
                of: &found.email,
                limit: PER_ADDRESS,
                window: seconds(PER_ADDRESS_WINDOW),
            };
            if self.quotas.take(quota).await?.is_some() {
                return Ok(None);
            }
            let there = self.users.by_email(&Email::stored(&found.email)).await?;
            if there.is_some_and(|there| there.email_verified || there.disabled) {
                return Ok(Some(ChangeLink::Taken));
            }
        }
        let token = random_token()?;
        let query = match side {
            Side::New => {
                "UPDATE email_changes SET new_link = $1 WHERE id = $2 AND new_link IS NULL"
            }
            Side::Old => {
                "UPDATE email_changes SET old_link = $1 WHERE id = $2 AND old_link IS NULL"
            }
        };
        let made = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(digest(&token)).bind(change);
            query.execute(pool).await?.rows_affected()
        });
        let new_email = Email::stored(&found.email);
        Ok((made == 1).then_some(ChangeLink::Made { token, new_email }))
    }

    async fn by_id(&self, change: &str) -> Result<Option<EmailChange>> {
        let query = concat!(
            "SELECT ",
            columns!(),
            " FROM email_changes WHERE id = $1 AND ",
            is_open!("$2", "$3")
        );
        on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(change).bind(now());
            query.bind(now() + SKEW).fetch_optional(pool).await
        })
    }

    /// Returns the open change of a user.
    pub(super) async fn of(&self, user: &str) -> Result<Option<EmailChange>> {
        let query = concat!(
            "SELECT ",
            columns!(),
            " FROM email_changes WHERE user_id = $1 AND ",
            is_open!("$2", "$3")
        );
        on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(user).bind(now());
            query.bind(now() + SKEW).fetch_optional(pool).await
        })
    }

    /// Records that the link of one side was confirmed, and returns the change. If both sides confirm at
    /// once, the second one sees the first.
    async fn confirm(&self, token: &str) -> Result<Option<EmailChange>> {
        let query = concat!(
            "UPDATE email_changes SET \
                 new_confirmed = new_confirmed OR coalesce(new_link = $1, FALSE), \
                 old_confirmed = old_confirmed OR coalesce(old_link = $1, FALSE) \
             WHERE (new_link = $1 OR old_link = $1) AND ",
            is_open!("$2", "$3"),
            " RETURNING ",
            columns!()
        );
        on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(token)).bind(now());
            query.bind(now() + SKEW).fetch_optional(pool).await
        })
    }

    /// Ends the change that a link belongs to, and returns its user.
    async fn stop(&self, token: &str) -> Result<Option<String>> {
        let query = "DELETE FROM email_changes WHERE new_link = $1 OR old_link = $1 \
                     RETURNING user_id";
        on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(digest(token));
            query.fetch_optional(pool).await
        })
    }

    /// Ends the change of a user. Returns whether there was one.
    async fn cancel(&self, user: &str) -> Result<bool> {
        let query = "DELETE FROM email_changes WHERE user_id = $1";
        let cancelled = on_pool!(&self.database, pool => {
            sqlx::query(query).bind(user).execute(pool).await?.rows_affected()
        });
        Ok(cancelled == 1)
    }

    /// Removes at most `limit` expired changes, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM email_changes WHERE user_id IN \
                         (SELECT user_id FROM email_changes WHERE expires_at <= $1 LIMIT $2) \
                     AND expires_at <= $1";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}

// === impl EmailChange ===

impl EmailChange {
    fn is_confirmed(&self) -> bool {
        self.new_confirmed && self.old_confirmed
    }
}
