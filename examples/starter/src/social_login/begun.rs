//! [`Begun`]: logins for which a browser was sent to a provider.
//!
//! The code verifier (RFC 7636) is only in a cookie of that browser. The table has its SHA-256, which is
//! the challenge that the provider gets. So the verifier also binds the login to the browser, and whoever
//! reads the table cannot finish a login.

use std::time::Duration;

use sqlx::{FromRow, Result};

use crate::accounts::digest;
use crate::accounts::one_time_tokens::random_token;
use crate::database::Database;
use crate::database::on_pool;
use crate::limits::ClientIp;
use crate::limits::{Quota, Quotas};
use crate::times::{SKEW, now};

/// How long a user may take at the provider, in seconds.
pub(super) const LIFETIME: i64 = 600;
/// How many logins a client may begin within [`LIFETIME`].
const MAX_BEGUN: i64 = 100;

/// The table of logins that have begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    database: Database,
    quotas: Quotas,
}

/// What the browser and the provider are told about a new login.
pub(super) struct Started {
    pub(super) state: String,
    pub(super) nonce: String,
    /// The code verifier, for the cookie.
    pub(super) verifier: String,
    /// The SHA-256 of the verifier (RFC 7636 section 4.2).
    pub(super) challenge: String,
}

/// A login that a browser has come back with. It is used once.
#[derive(FromRow)]
pub(super) struct Returned {
    pub(super) provider: String,
    pub(super) nonce: String,
    /// The user who wants to link the login, and the version of that user.
    pub(super) user_id: Option<String>,
    pub(super) version: Option<i64>,
}

// === impl Started ===

impl Started {
    pub(super) fn new() -> Result<Self> {
        let verifier = random_token()?;
        Ok(Self {
            state: random_token()?,
            nonce: random_token()?,
            challenge: digest(&verifier),
            verifier,
        })
    }
}

// === impl Begun ===

impl Begun {
    pub(super) fn new(database: Database) -> Self {
        let quotas = Quotas::new(database.clone());
        Self { database, quotas }
    }

    /// Counts one more login for the client. Returns how long to wait if there were too many.
    pub(super) async fn too_many(&self, client: ClientIp) -> Result<Option<Duration>> {
        let ClientIp(ip) = client;
        let quota = Quota {
            kind: "provider_logins_begun",
            of: &ip.to_string(),
            limit: MAX_BEGUN,
            window: LIFETIME,
        };
        self.quotas.take(quota).await
    }

    /// Stores a login. `user` is who wants to link it, and the version of that user.
    pub(super) async fn keep(
        &self,
        started: &Started,
        provider: &str,
        user: Option<(&str, i64)>,
    ) -> Result<()> {
        let query = "INSERT INTO provider_logins_begun \
                         (state, challenge, provider, nonce, user_id, version, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on_pool!(&self.database, pool => {
            sqlx::query(query)
                .bind(digest(&started.state))
                .bind(&started.challenge)
                .bind(provider)
                .bind(&started.nonce)
                .bind(user.map(|(id, _)| id))
                .bind(user.map(|(_, version)| version))
                .bind(now() + LIFETIME)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Uses up the login that began in the browser with this verifier. Returns it to one caller only.
    pub(super) async fn take(&self, state: &str, verifier: &str) -> Result<Option<Returned>> {
        let query = "DELETE FROM provider_logins_begun WHERE state = $1 AND challenge = $2 \
                     AND expires_at > $3 AND expires_at <= $4 \
                     RETURNING provider, nonce, user_id, version";
        let now = now();
        let mut rows: Vec<Returned> = on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(state)).bind(digest(verifier));
            query.bind(now).bind(now + LIFETIME + SKEW).fetch_all(pool).await?
        });
        Ok(rows.pop())
    }

    /// Removes at most `limit` expired logins, and returns how many.
    pub(super) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM provider_logins_begun WHERE state IN \
                     (SELECT state FROM provider_logins_begun WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
