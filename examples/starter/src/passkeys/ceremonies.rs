//! [`Ceremonies`]: the pending requests for passkeys. Each is answered once, in time, for the purpose and
//! by the account that it was made for.

use sqlx::Result;

use crate::accounts::User;
use crate::accounts::digest;
use crate::accounts::one_time_tokens::random_token;
use crate::database::{Database, on_pool};
use crate::limits::ClientIp;
use crate::times::{SKEW, now};

/// How long a request waits for its answer, in seconds.
pub(super) const LIFETIME: i64 = 300;
/// How many requests of one account, or of logins from one client address, may wait at once. Beyond that,
/// the oldest is forgotten.
const MAX_OF_ONE: i64 = 50;
/// How many requests may wait altogether.
const MAX: i64 = 10_000;
/// How many requests are forgotten at most when there are too many.
const BATCH: i64 = 100;

/// The one thing that an answer can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new passkey of a user who is logged in.
    Register,
    /// A login without a password.
    LogIn,
    // chapter: second-factor {
    /// The second step of a login with a password.
    SecondFactor,
    // chapter: second-factor }
    /// A proof that the caller is still the owner, before something that a stolen token must not do.
    Prove,
    /// That proof, after it has been given.
    Proved,
}

/// Who has asked for a request.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// A client that has not logged in yet.
    Client(ClientIp),
    /// This account, in a session or after the right password.
    Account(&'a User),
}

/// What was stored with a request.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Ceremony {
    pub(super) state: String,
    user_id: Option<String>,
    user_version: i64,
}

/// The table of requests. It contains only SHA-256 digests of their names, which have 256 random bits.
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
    /// Returns whether the request was made for this account, and nothing that a login depends on has
    /// changed since.
    pub(super) fn is_for(&self, user: &User) -> bool {
        self.user_id.as_ref() == Some(&user.id) && self.user_version == user.version
    }
}

// === impl Ceremonies ===

impl Ceremonies {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Stores a request, and returns the secret that its answer must contain. The answer must also come
    /// with `bound_to`.
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

    /// Uses up the request, whether or not its answer is right. Returns it to one caller only.
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

    /// Keeps the table from filling up. Whoever asks too often loses the oldest of their own requests, and
    /// if there are too many altogether, the oldest of all go.
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

    /// Removes at most `limit` requests that were not answered in time, and returns how many.
    pub(super) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM passkey_ceremonies WHERE digest IN \
                         (SELECT digest FROM passkey_ceremonies WHERE expires_at <= $1 LIMIT $2)";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now()).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}
