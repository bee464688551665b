//! [`OneTimeTokens`]: the secrets in links to users whose address is proved. Each works once, for one
//! purpose and a short time. Links that prove an address belong to
//! [`Registrations`](crate::accounts::Registrations).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sqlx::Result;

use super::users::{User, Users};
use crate::database::Database;
use crate::database::on_pool;
use crate::limits::{Quota, Quotas};
use crate::times::{SKEW, now, seconds};

/// How many links for one purpose a user gets in [`WINDOW`]. More would only fill the mailbox.
const MAX_IN_WINDOW: i64 = 5;
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// The one thing that a token can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    ResetPassword,
}

/// The table of tokens. It contains only their SHA-256, so whoever reads the table has no link. A plain
/// hash is enough for 256 random bits, which nobody can guess (OWASP ASVS 5.0 V6.5.2).
#[derive(Debug, Clone)]
pub(crate) struct OneTimeTokens {
    database: Database,
    users: Users,
    quotas: Quotas,
}

// === impl Purpose ===

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
        }
    }

    fn quota(self) -> &'static str {
        match self {
            Self::ResetPassword => "links_to_reset_password",
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::ResetPassword => Duration::from_secs(15 * 60),
        }
    }

    /// Returns a digest of what must not change while a token is valid. If it changes, the token is invalid.
    fn state(self, user: &User) -> String {
        let bound_to = match self {
            Self::ResetPassword => &user.password_hash,
        };
        // Neither an email address nor our names contain a NUL.
        digest(&format!("{}\0{}\0{bound_to}", self.name(), user.email))
    }
}

// === impl OneTimeTokens ===

impl OneTimeTokens {
    pub(crate) fn new(database: Database) -> Self {
        let users = Users::new(database.clone());
        let quotas = Quotas::new(database.clone());
        Self {
            database,
            users,
            quotas,
        }
    }

    /// Makes a new token for the user. Returns `None` if the user has had too many in [`WINDOW`].
    pub(crate) async fn make(&self, purpose: Purpose, user: &User) -> Result<Option<String>> {
        let quota = Quota {
            kind: purpose.quota(),
            of: &user.id,
            limit: MAX_IN_WINDOW,
            window: seconds(WINDOW),
        };
        if self.quotas.take(quota).await?.is_some() {
            return Ok(None);
        }
        let token = random_token()?;
        let now = now();
        let query = "INSERT INTO one_time_tokens \
                         (digest, purpose, user_id, state, created_at, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
        on_pool!(&self.database, pool => {
            sqlx::query(query)
                .bind(digest(&token))
                .bind(purpose.name())
                .bind(&user.id)
                .bind(purpose.state(user))
                .bind(now)
                .bind(now + seconds(purpose.lifetime()))
                .execute(pool)
                .await?;
        });
        Ok(Some(token))
    }

    /// Returns the user that a valid token belongs to. The token stays valid.
    pub(crate) async fn holder(&self, purpose: Purpose, token: &str) -> Result<Option<User>> {
        let query = "SELECT user_id, state FROM one_time_tokens \
                     WHERE digest = $1 AND purpose = $2 AND expires_at > $3 \
                     AND created_at <= $4";
        let row: Option<(String, String)> = on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(token)).bind(purpose.name());
            query.bind(now()).bind(now() + SKEW).fetch_optional(pool).await?
        });
        let Some((id, state)) = row else {
            return Ok(None);
        };
        let user = self.users.active(&id).await?;
        Ok(user.filter(|user| purpose.state(user) == state))
    }

    /// Uses up the token. Returns `true` to exactly one caller, even if several try at once (OWASP ASVS 5.0
    /// V6.5.1).
    pub(crate) async fn take(&self, purpose: Purpose, token: &str, user: &User) -> Result<bool> {
        let query = "DELETE FROM one_time_tokens WHERE digest = $1 AND purpose = $2 \
                     AND user_id = $3 AND state = $4 AND expires_at > $5 AND created_at <= $6";
        let taken = on_pool!(&self.database, pool => {
            sqlx::query(query)
                .bind(digest(token))
                .bind(purpose.name())
                .bind(&user.id)
                .bind(purpose.state(user))
                .bind(now())
                .bind(now() + SKEW)
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(taken == 1)
    }

    /// Removes at most `limit` tokens that expired at least [`WINDOW`] ago, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM one_time_tokens WHERE digest IN \
                         (SELECT digest FROM one_time_tokens WHERE expires_at <= $1 LIMIT $2)";
        let query = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now() - seconds(WINDOW)).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        });
        Ok(query)
    }
}

/// Returns 256 random bits, which nobody can guess.
pub(crate) fn random_token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}
