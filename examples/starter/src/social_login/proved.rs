//! [`ProvedLogins`]: logins that a provider has confirmed, until the page in the same browser asks for the
//! session.

use sqlx::{FromRow, Result};

use crate::accounts::User;
use crate::accounts::digest;
use crate::accounts::one_time_tokens::random_token;
use crate::database::Database;
use crate::database::on_pool;
use crate::times::{SKEW, now};

/// How long the page may take, in seconds.
pub(super) const LIFETIME: i64 = 120;

/// The table of confirmed logins. It contains SHA-256 digests of 256 random bits that are in a cookie.
#[derive(Debug, Clone)]
pub(super) struct ProvedLogins {
    database: Database,
}

/// A user who has logged in. It is used once.
#[derive(FromRow)]
pub(super) struct ProvedLogin {
    pub(super) user_id: String,
    /// The version of the user when the provider confirmed the login.
    pub(super) version: i64,
    /// When the user last authenticated at the provider, in seconds since 1970.
    pub(super) auth_time: i64,
}

// === impl ProvedLogins ===

impl ProvedLogins {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Stores a login, and returns its secret.
    pub(super) async fn keep(&self, provider: &str, user: &User, auth_time: i64) -> Result<String> {
        let secret = random_token()?;
        let query = "INSERT INTO provider_logins_proved \
                         (digest, provider, user_id, version, auth_time, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
        on_pool!(&self.database, pool => {
            sqlx::query(query)
                .bind(digest(&secret))
                .bind(provider)
                .bind(&user.id)
                .bind(user.version)
                .bind(auth_time)
                .bind(now() + LIFETIME)
                .execute(pool)
                .await?;
        });
        Ok(secret)
    }

    /// Uses up a login at this provider. Returns it to one caller only.
    pub(super) async fn take(&self, provider: &str, secret: &str) -> Result<Option<ProvedLogin>> {
        let query = "DELETE FROM provider_logins_proved WHERE digest = $1 AND provider = $2 \
                     AND expires_at > $3 AND expires_at <= $4 \
                     RETURNING user_id, version, auth_time";
        let now = now();
        let mut rows: Vec<ProvedLogin> = on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(secret)).bind(provider);
            query.bind(now).bind(now + LIFETIME + SKEW).fetch_all(pool).await?
        });
        Ok(rows.pop())
    }

    /// Removes at most `limit` expired logins, and returns how many.
    pub(super) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM provider_logins_proved WHERE digest IN \
                     (SELECT digest FROM provider_logins_proved WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
