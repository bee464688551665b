//! [`Ceremonies`]: what browsers were asked of late. Each question is answered once, in time, for the
//! purpose and by the account that it was made for.

use sqlx::Result;

use crate::accounts::User;
use crate::accounts::digest;
use crate::accounts::one_time_tokens::random_token;
use crate::database::{Database, on_pool};
use crate::limits::ClientIp;
use crate::times::{SKEW, now};

/// How long a question waits for its answer, in seconds.
pub(super) const LIFETIME: i64 = 300;
/// How many questions of one account, or of logins from one address, wait at once. One more, and the oldest
/// is forgotten.
const MAX_OF_ONE: i64 = 50;
/// How many questions wait in all.
const MAX: i64 = 10_000;
/// How many are forgotten at most when there are too many.
const BATCH: i64 = 100;

/// What an answer is good for. Only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new passkey of somebody who is logged in.
    Register,
    /// A login without a password.
    LogIn,
    // chapter: second-factor {
    /// The second step of a login with a password.
    SecondFactor,
    // chapter: second-factor }
    /// The proof that it is still the owner, before something that a stolen token must not do.
    Prove,
    /// That proof, once it has been given.
    Proved,
}

/// Who has asked.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// Nobody knows yet.
    Client(ClientIp),
    /// This account, in a session or behind a right password.
    Account(&'a User),
}

/// What was kept with a question.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Ceremony {
    pub(super) state: String,
    user_id: Option<String>,
    user_version: i64,
}

/// The table of questions. It has SHA-256 digests of their names, which have 256 random bits.
#[derive(Debug, Clone)]
pub(super) struct Ceremonies {
    database: Database,
}

// === impl Purpose ===

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::LogIn => "log_in",
            Self::SecondFactor => "second_factor", // chapter: second-factor
            Self::Prove => "prove",
            Self::Proved => "proved",
        }
    }
}

// === impl Ceremony ===

impl Ceremony {
    /// Whether it was made for this account, which is still as it was in all that a login depends on.
    pub(super) fn is_for(&self, user: &User) -> bool {
        self.user_id.as_ref() == Some(&user.id) && self.user_version == user.version
    }
}

// === impl Ceremonies ===

impl Ceremonies {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Keeps a question, and returns the secret by which its answer finds it. `bound_to` is what the
    /// answer has to come with.
    pub(super) async fn begin(
        &self,
        purpose: Purpose,
        holder: Holder<'_>,
        bound_to: &str,
        state: &str,
    ) -> Result<String> {
        let secret = random_token()?;
        let (name, user) = match holder {
            Holder::Client(ClientIp(ip)) => (digest(&format!("address {ip}")), None),
            Holder::Account(user) => (digest(&format!("user {}", user.id)), Some(user)),
        };
        let query = "INSERT INTO passkey_ceremonies \
                         (digest, purpose, holder, bound_to, user_id, user_version, state, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on_pool!(&self.database, pool => {
            sqlx::query(query)
                .bind(digest(&secret))
                .bind(purpose.name())
                .bind(&name)
                .bind(digest(bound_to))
                .bind(user.map(|user| user.id.as_str()))
                .bind(user.map_or(0, |user| user.version))
                .bind(state)
                .bind(now() + LIFETIME)
                .execute(pool)
                .await?;
        });
        self.forget_oldest(&digest(&secret), &name).await?;
        Ok(secret)
    }

    /// Uses it up, whatever becomes of the answer: for one caller.
    pub(super) async fn take(
        &self,
        purpose: Purpose,
        secret: &str,
        bound_to: &str,
    ) -> Result<Option<Ceremony>> {
        let query = "DELETE FROM passkey_ceremonies WHERE digest = $1 AND purpose = $2 \
                     AND bound_to = $3 AND expires_at > $4 AND expires_at <= $5 \
                     RETURNING state, user_id, user_version";
        let mut taken: Vec<Ceremony> = on_pool!(&self.database, pool => {
            let query = sqlx::query_as(query).bind(digest(secret)).bind(purpose.name());
            let query = query.bind(digest(bound_to)).bind(now()).bind(now() + LIFETIME + SKEW);
            query.fetch_all(pool).await?
        });
        Ok(taken.pop())
    }

    /// So that nobody fills the table: who asks too often forgets the oldest of its own questions, and when
    /// there are too many of all, the oldest of all go.
    async fn forget_oldest(&self, newest: &str, holder: &str) -> Result<()> {
        let of_one = "DELETE FROM passkey_ceremonies WHERE digest <> $1 AND digest IN \
                          (SELECT digest FROM passkey_ceremonies WHERE holder = $2 \
                          ORDER BY expires_at DESC, digest LIMIT $3 OFFSET $4)";
        let of_all = "DELETE FROM passkey_ceremonies WHERE digest <> $1 AND digest IN \
                          (SELECT digest FROM passkey_ceremonies \
                          ORDER BY expires_at DESC, digest LIMIT $2 OFFSET $3)";
        on_pool!(&self.database, pool => {
            let query = sqlx::query(of_one).bind(newest).bind(holder);
            query.bind(BATCH).bind(MAX_OF_ONE).execute(pool).await?;
            let query = sqlx::query(of_all).bind(newest).bind(BATCH).bind(MAX);
            query.execute(pool).await?;
        });
        Ok(())
    }

    /// Removes at most `limit` that were not answered in time, and returns how many.
    pub(super) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM passkey_ceremonies WHERE digest IN \
                         (SELECT digest FROM passkey_ceremonies WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
