//! [`Attempts`]: how often passwords have been tried, so that guessing takes for ever.
//!
//! Failures in a row are counted twice: for the account together with the address that they came
//! from, and for the account from all addresses that are not known. More and more have to be waited
//! for, and after 100 there is no other try from there (NIST SP 800-63B-4 section 3.2.2).
//!
//! That must be no way to lock the owner out (V6.1.1). So an address from which the owner has
//! logged in within the last 30 days is judged by its own failures alone, and so is a session that is
//! open; and a reset by e-mail begins anew from everywhere.
//!
//! A try is counted before the password is looked at: of a hundred that come at once, all count.
//! Accounts that do not exist are counted alike.

use std::time::Duration;

use sqlx::Result;

use crate::Database;
use crate::client_ip::ClientIp;
use crate::database::on_pool;
use crate::one_time_tokens::{digest, now};
use crate::problem::Problem;

/// For how long an address is known after a login, and failures are remembered.
const KNOWN: i64 = 30 * 24 * 3600;
/// In place of an address: all that are not known.
const ANYWHERE: &str = "";
/// The longest wait that is told. Who has to wait for ever is told this too.
const MAX_WAIT: i64 = 900;

/// Removes all that is known of the tries at an account, by the digest of its address.
pub(crate) const FORGET: &str = "DELETE FROM login_failures WHERE account = $1";

/// The table of failures.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    database: Database,
}

/// Where a try comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Address(ClientIp),
    /// A session that the account has opened.
    Session(&'a str),
}

/// One try that may be made, and has been counted as a failure for now.
#[derive(Debug)]
pub(crate) struct Attempt {
    attempts: Attempts,
    account: String,
    place: String,
}

/// When the next try may be made: so many seconds after so many failures in a row.
macro_rules! next_try {
    (place) => {
        "f.failed_at + CASE WHEN f.failures < 10 THEN 0 WHEN f.failures < 20 THEN 5 \
         WHEN f.failures < 50 THEN 60 WHEN f.failures < 100 THEN 900 ELSE 4000000000 END"
    };
    (anywhere) => {
        "f.failed_at + CASE WHEN f.failures < 20 THEN 0 WHEN f.failures < 50 THEN 2 \
         WHEN f.failures < 100 THEN 30 ELSE 4000000000 END"
    };
}

/// Counts a failure, unless it is too early for another try.
macro_rules! count {
    ($kind:ident) => {
        concat!(
            "INSERT INTO login_failures AS f (account, place, failures, failed_at) \
             VALUES ($1, $2, 1, $3) ON CONFLICT (account, place) \
             DO UPDATE SET failures = f.failures + 1, failed_at = $3 WHERE ",
            next_try!($kind),
            " <= $3"
        )
    };
}

/// Asks when the next try may be made.
macro_rules! ask {
    ($kind:ident) => {
        concat!(
            "SELECT ",
            next_try!($kind),
            " FROM login_failures AS f WHERE account = $1 AND place = $2"
        )
    };
}

// === impl Attempts ===

impl Attempts {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Whether the password of this account may be tried now. `account` is what the client calls
    /// it; there need not be one.
    pub(crate) async fn begin(&self, account: &str, from: Source<'_>) -> Result<Attempt, Problem> {
        let account = digest(account);
        let (place, known) = match from {
            Source::Session(session) => (digest(&format!("session {session}")), true),
            Source::Address(ClientIp(ip)) => {
                let place = ip.to_string();
                let known = self.is_known(&account, &place).await?;
                (place, known)
            }
        };
        if !known && !self.count(count!(anywhere), &account, ANYWHERE).await? {
            let wait = self.wait(ask!(anywhere), &account, ANYWHERE).await?;
            return Err(too_many(wait));
        }
        if !self.count(count!(place), &account, &place).await? {
            let wait = self.wait(ask!(place), &account, &place).await?;
            return Err(too_many(wait));
        }
        Ok(Attempt {
            attempts: self.clone(),
            account,
            place,
        })
    }

    /// Forgets all failures of an account whose owner has chosen a new password.
    pub(crate) async fn forget(&self, account: &str) -> Result<()> {
        on_pool!(&self.database, pool => {
            sqlx::query(FORGET).bind(digest(account)).execute(pool).await?;
        });
        Ok(())
    }

    /// Removes at most `limit` that say nothing any more, and tells how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM login_failures WHERE (account, place) IN \
                         (SELECT account, place FROM login_failures \
                         WHERE failed_at <= $1 AND failures < 100 LIMIT $2)";
        let before = now() - KNOWN;
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(before).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }

    async fn is_known(&self, account: &str, place: &str) -> Result<bool> {
        let query = "SELECT count(*) FROM login_failures \
                     WHERE account = $1 AND place = $2 AND known_at > $3";
        let known: i64 = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(account).bind(place);
            query.bind(now() - KNOWN).fetch_one(pool).await?
        });
        Ok(known > 0)
    }

    async fn count(&self, query: &'static str, account: &str, place: &str) -> Result<bool> {
        let counted = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(account).bind(place);
            query.bind(now()).execute(pool).await?.rows_affected()
        });
        Ok(counted == 1)
    }

    async fn wait(&self, query: &'static str, account: &str, place: &str) -> Result<i64> {
        let next: Option<i64> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(account).bind(place);
            query.fetch_optional(pool).await?
        });
        Ok(next.map_or(1, |next| next - now()))
    }
}

// === impl Attempt ===

impl Attempt {
    /// The password was right: failures in a row begin anew, and the address is known.
    pub(crate) async fn succeeded(self) -> Result<()> {
        let query = "UPDATE login_failures SET failures = 0, \
                     known_at = CASE WHEN place = $2 THEN $3 ELSE known_at END \
                     WHERE account = $1 AND place IN ($2, '')";
        on_pool!(&self.attempts.database, pool => {
            let query = sqlx::query(query).bind(&self.account).bind(&self.place);
            query.bind(now()).execute(pool).await?;
        });
        Ok(())
    }
}

fn too_many(wait: i64) -> Problem {
    let wait = u64::try_from(wait.clamp(1, MAX_WAIT)).unwrap_or(1);
    tracing::warn!(event = "login_throttled", wait);
    let detail = "Too many failures. `Retry-After` says when to try again; a new password, by the link \
                  in an e-mail, works at once.";
    Problem::too_many(detail, Duration::from_secs(wait))
}
