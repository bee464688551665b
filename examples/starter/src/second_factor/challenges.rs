//! [`Challenges`]: logins that still need the second factor.

use sqlx::Result;

use crate::accounts::digest;
use crate::accounts::one_time_tokens::random_token;
use crate::accounts::{User, Users};
use crate::database::Database;
use crate::database::on_pool;
use crate::times::{SKEW, now};

/// How long a challenge is valid, in seconds.
pub(crate) const CHALLENGE_SECONDS: i64 = 300;
/// How many codes may be tried for one challenge (OWASP ASVS 5.0 V6.6.3).
const MAX_TRIES: i64 = 5;

/// The table of challenges. It contains only their SHA-256, which is enough for 256 random bits.
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    database: Database,
    users: Users,
}

// === impl Challenges ===

impl Challenges {
    pub(crate) fn new(database: Database) -> Self {
        let users = Users::new(database.clone());
        Self { database, users }
    }

    /// Makes a challenge for a user who has passed the first factor. `amr` says how.
    pub(crate) async fn make(&self, user: &User, amr: &[&str]) -> Result<String> {
        let challenge = random_token()?;
        let query = "INSERT INTO login_challenges (digest, user_id, state, amr, expires_at) \
                     VALUES ($1, $2, $3, $4, $5)";
        on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(digest(&challenge)).bind(&user.id);
            let query = query.bind(state(user)).bind(amr.join(" ")).bind(now() + CHALLENGE_SECONDS);
            query.execute(pool).await?;
        });
        Ok(challenge)
    }

    /// Returns the user who has to answer the challenge, or `None` if it has ended.
    pub(crate) async fn holder(&self, challenge: &str) -> Result<Option<User>> {
        let query = "SELECT user_id, state FROM login_challenges \
                     WHERE digest = $1 AND expires_at > $2 AND tries < $3 \
                     AND expires_at <= $4";
        let row: Option<(String, String)> = on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(challenge)).bind(now());
            query.bind(MAX_TRIES).bind(latest()).fetch_optional(pool).await?
        });
        let Some((id, state)) = row else {
            return Ok(None);
        };
        let user = self.users.active(&id).await?;
        Ok(user.filter(|user| is_for(user, &state)))
    }

    /// Counts an attempt before the code is checked. Returns `false` if there were too many.
    pub(crate) async fn count_try(&self, challenge: &str) -> Result<bool> {
        let query = "UPDATE login_challenges SET tries = tries + 1 \
                     WHERE digest = $1 AND expires_at > $2 AND tries < $3 \
                     AND expires_at <= $4";
        let counted = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(digest(challenge)).bind(now());
            query.bind(MAX_TRIES).bind(latest()).execute(pool).await?.rows_affected()
        });
        Ok(counted == 1)
    }

    /// Uses up the challenge, and tells one caller what the first factor was. Returns `None` if it has
    /// ended.
    pub(crate) async fn take(&self, challenge: &str) -> Result<Option<String>> {
        let query = "DELETE FROM login_challenges \
                     WHERE digest = $1 AND expires_at > $2 AND expires_at <= $3 RETURNING amr";
        let mut taken: Vec<String> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(digest(challenge)).bind(now());
            query.bind(latest()).fetch_all(pool).await?
        });
        Ok(taken.pop())
    }

    /// Removes at most `limit` expired challenges, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM login_challenges WHERE digest IN \
                         (SELECT digest FROM login_challenges WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}

/// Returns the latest possible end. A later one was written while the clock was wrong.
fn latest() -> i64 {
    now() + CHALLENGE_SECONDS + SKEW
}

/// Returns whether nothing that a login depends on has changed since the challenge was made.
fn is_for(user: &User, read: &str) -> bool {
    !user.disabled && state(user) == read
}

fn state(user: &User) -> String {
    digest(&format!("challenge\0{}", user.version))
}
