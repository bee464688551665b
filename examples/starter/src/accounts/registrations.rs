//! [`Registrations`]: email addresses that somebody has registered and not proved yet.

use std::time::Duration;

use sqlx::{FromRow, Result};

use super::one_time_tokens::{digest, random_token};
use super::users::new_id;
use crate::database::Database;
use crate::database::on_pool;
use crate::limits::{Quota, Quotas};
use crate::times::{SKEW, now, seconds};
use crate::typed::Email;

/// How many registrations, and how many links for each purpose, an address gets in [`WINDOW`].
const MAX_IN_WINDOW: i64 = 5;
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// What a link proves the address for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For an account with the password of the registration.
    Register,
    /// For an account with a password that is chosen when the link is used.
    Reset,
}

/// The tables of registrations and of their links.
#[derive(Debug, Clone)]
pub(crate) struct Registrations {
    database: Database,
    quotas: Quotas,
}

/// One registration. It is not `Debug`, because it contains a hash.
#[derive(FromRow)]
pub(crate) struct Registration {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) password_hash: Option<String>,
    /// The account that this registration has made.
    pub(crate) user_id: Option<String>,
}

// === impl Purpose ===

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Reset => "reset",
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::Register => Duration::from_secs(24 * 3600),
            Self::Reset => Duration::from_secs(15 * 60),
        }
    }
}

// === impl Registrations ===

impl Registrations {
    pub(crate) fn new(database: Database) -> Self {
        let quotas = Quotas::new(database.clone());
        Self { database, quotas }
    }

    /// Stores a registration, unless the address is proved already or has had too many in [`WINDOW`].
    /// Always returns an id, so that the response tells nothing.
    pub(crate) async fn register(&self, email: &Email, hash: &str) -> Result<String> {
        let query = "INSERT INTO registrations \
                         (id, email, purpose, password_hash, created_at, expires_at) \
                     SELECT $1, $2, $3, $4, $5, $6 \
                     WHERE NOT EXISTS (SELECT 1 FROM users \
                         WHERE email = $2 AND (email_verified OR disabled))";
        let (id, _) = self
            .insert(query, email, Purpose::Register, Some(hash))
            .await?;
        Ok(id)
    }

    /// Makes a link that proves the address and then chooses a password. Returns `None` if nobody has
    /// registered the address, if it is proved already, or if it has had too many links in [`WINDOW`].
    pub(crate) async fn reset_link(&self, email: &Email) -> Result<Option<String>> {
        let query = "INSERT INTO registrations \
                         (id, email, purpose, password_hash, created_at, expires_at) \
                     SELECT $1, $2, $3, $4, $5, $6 \
                     WHERE NOT EXISTS (SELECT 1 FROM users \
                         WHERE email = $2 AND (email_verified OR disabled)) \
                     AND (EXISTS (SELECT 1 FROM users WHERE email = $2) \
                         OR EXISTS (SELECT 1 FROM registrations \
                             WHERE email = $2 AND expires_at > $5 AND created_at <= $7))";
        let (id, made) = self.insert(query, email, Purpose::Reset, None).await?;
        if !made {
            return Ok(None);
        }
        Ok(self.link(&id).await?.map(|(token, _)| token))
    }

    async fn insert(
        &self,
        query: &'static str,
        email: &Email,
        purpose: Purpose,
        hash: Option<&str>,
    ) -> Result<(String, bool)> {
        let (id, now) = (new_id()?, now());
        let kind = format!("registrations_{}", purpose.name());
        if self.has_had_too_many(&kind, email.as_str()).await? {
            return Ok((id, false));
        }
        let made = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(&id).bind(email.as_str()).bind(purpose.name());
            let query = query.bind(hash).bind(now).bind(now + seconds(purpose.lifetime()));
            let query = query.bind(now + SKEW);
            query.execute(pool).await?.rows_affected()
        });
        Ok((id, made == 1))
    }

    /// Counts one more registration or link for the address. Returns whether it has had too many in [`WINDOW`].
    async fn has_had_too_many(&self, kind: &str, email: &str) -> Result<bool> {
        let quota = Quota {
            kind,
            of: email,
            limit: MAX_IN_WINDOW,
            window: seconds(WINDOW),
        };
        Ok(self.quotas.take(quota).await?.is_some())
    }

    /// Returns the address of a registration that is still open.
    pub(crate) async fn email(&self, id: &str) -> Result<Option<Email>> {
        let query = "SELECT email FROM registrations \
                     WHERE id = $1 AND user_id IS NULL AND expires_at > $2 AND created_at <= $3";
        let email: Option<String> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(id).bind(now());
            query.bind(now() + SKEW).fetch_optional(pool).await?
        });
        Ok(email.map(|email| Email::stored(&email)))
    }

    /// Makes another link for an open registration, and returns it with the address. Returns `None` if the
    /// registration is not open, or if the address has had too many links in [`WINDOW`].
    pub(crate) async fn link(&self, id: &str) -> Result<Option<(String, Email)>> {
        let (token, now) = (random_token()?, now());
        let query = "SELECT email, purpose FROM registrations \
                     WHERE id = $1 AND user_id IS NULL AND expires_at > $2";
        let open: Option<(String, String)> = on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(id).bind(now).fetch_optional(pool).await?
        });
        let Some((email, purpose)) = open else {
            return Ok(None);
        };
        let kind = format!("registration_links_{purpose}");
        if self.has_had_too_many(&kind, &email).await? {
            return Ok(None);
        }
        let email = Email::stored(&email);
        let query = "INSERT INTO registration_links (digest, registration_id, created_at) \
                     SELECT $1, r.id, $3 FROM registrations AS r WHERE r.id = $2";
        let made = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(digest(&token)).bind(id).bind(now);
            query.execute(pool).await?.rows_affected()
        });
        Ok((made == 1).then_some((token, email)))
    }

    /// Returns the registration that a link belongs to, even if it has made its account already.
    pub(crate) async fn by_link(
        &self,
        purpose: Purpose,
        token: &str,
    ) -> Result<Option<Registration>> {
        let query = "SELECT r.id, r.email, r.password_hash, r.user_id FROM registrations AS r \
                     JOIN registration_links AS l ON l.registration_id = r.id \
                     WHERE l.digest = $1 AND r.purpose = $2 AND r.expires_at > $3 \
                     AND r.created_at <= $4";
        on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(token)).bind(purpose.name());
            query.bind(now()).bind(now() + SKEW).fetch_optional(pool).await
        })
    }

    /// Removes at most `limit` registrations that expired at least [`WINDOW`] ago, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM registrations WHERE id IN \
                         (SELECT id FROM registrations WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now() - seconds(WINDOW)).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
