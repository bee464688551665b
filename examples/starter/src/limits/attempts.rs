//! [`Attempts`]: counts attempts at passwords and codes, so that guessing takes forever.
//!
//! Consecutive failures are counted twice: for the account together with the client address, and for the
//! account from all unknown addresses together. The waits grow, and after 100 failures no further attempt
//! from there is allowed (NIST SP 800-63B-4 section 3.2.2).
//!
//! This must not lock out the owner (OWASP ASVS 5.0 V6.1.1). So an address from which the owner has logged
//! in within the last 30 days is judged only by its own failures, and so is an open session. A new password
//! starts again everywhere, for the second factor as well: whoever caused those failures knew the old
//! password, and does not know the new one.
//!
//! An attempt is counted before the password is checked, so that all of a hundred attempts at the same time count.
//! They take turns: if one of them is right, it succeeds and resets the count before the rest is counted. Attempts
//! at accounts that do not exist are counted in the same way.

use std::time::Duration;

use sqlx::Result;
use tokio::sync::OwnedSemaphorePermit;

use super::client_ip::ClientIp;
use super::gate::Gates;
use crate::accounts::User;
use crate::accounts::digest;
use crate::database::Database;
use crate::database::on_pool;
use crate::operations;
use crate::passkeys::passkeys_of; // chapter: passkeys
use crate::problem::Problem;
use crate::times::now;

/// How long an address is known after a login, and failures are remembered, in seconds.
const KNOWN: i64 = 30 * 24 * 3600;
/// The place of all unknown addresses.
const ANYWHERE: &str = "";
/// The longest wait that a client is told, in seconds, even if no further attempt is allowed.
const MAX_WAIT: i64 = 900;
// chapter: second-factor {
/// How many consecutive failures of the second factor new passwords forgive. Somebody who reads the owner's
/// email must not be able to guess forever.
const MAX_FORGIVEN: i64 = 300;
// chapter: second-factor }

/// Removes everything about attempts at an account, by the digest of its name.
pub(crate) const FORGET: &str = "DELETE FROM login_failures WHERE account = $1";

/// The table of failures.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    database: Database,
    gates: Gates,
}

/// Where an attempt comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Address(ClientIp),
    /// A session that the account has opened.
    Session(&'a str),
}

/// An attempt that is allowed, and counts as a failure until it succeeds.
#[derive(Debug)]
pub(crate) struct Attempt {
    attempts: Attempts,
    account: String,
    place: String,
    /// Other attempts at the same account and place wait until this one ends.
    _turn: OwnedSemaphorePermit,
}

/// How many consecutive failures are free, and the seconds to wait after more.
macro_rules! free {
    (place) => {
        "f.failures < 10"
    };
    (anywhere) => {
        "f.failures < 20"
    };
}
macro_rules! pause {
    (place) => {
        "CASE WHEN f.failures < 10 THEN 0 WHEN f.failures < 20 THEN 5 \
         WHEN f.failures < 50 THEN 60 WHEN f.failures < 100 THEN 900 ELSE 4000000000 END"
    };
    (anywhere) => {
        "CASE WHEN f.failures < 20 THEN 0 WHEN f.failures < 50 THEN 2 \
         WHEN f.failures < 100 THEN 30 ELSE 4000000000 END"
    };
}

/// Counts a failure, unless it is too early for another attempt. Without failures there is no wait,
/// whatever the clocks say.
macro_rules! count {
    ($kind:ident) => {
        concat!(
            "INSERT INTO login_failures AS f (account, place, failures, failed_at) \
             VALUES ($1, $2, 1, $3) ON CONFLICT (account, place) \
             DO UPDATE SET failures = f.failures + 1, failed_at = $3 WHERE ",
            free!($kind),
            " OR f.failed_at + ",
            pause!($kind),
            " <= $3"
        )
    };
}

/// Asks when the next attempt is allowed.
macro_rules! ask {
    ($kind:ident) => {
        concat!(
            "SELECT f.failed_at + ",
            pause!($kind),
            " FROM login_failures AS f WHERE account = $1 AND place = $2"
        )
    };
}

// === impl Attempts ===

impl Attempts {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            gates: Gates::default(),
        }
    }

    /// Begins an attempt at the password of this account, or says how long to wait. `name` is what the
    /// client calls the account, which need not exist.
    pub(crate) async fn begin(&self, name: &str, from: Source<'_>) -> Result<Attempt, Problem> {
        let account = digest(name);
        let place = from.place();
        let Some(turn) = self.gates.enter(&account, &place).await else {
            return Err(Problem::busy());
        };
        let known = match from {
            Source::Session(_) => true,
            Source::Address(_) => self.is_known(&account, &place).await?,
        };
        let mut wait = None;
        if !known && !self.count(count!(anywhere), &account, ANYWHERE).await? {
            wait = Some(self.wait(ask!(anywhere), &account, ANYWHERE).await?);
        } else if !self.count(count!(place), &account, &place).await? {
            wait = Some(self.wait(ask!(place), &account, &place).await?);
        }
        if let Some(wait) = wait {
            return Err(too_many(name, from, wait));
        }
        Ok(Attempt {
            attempts: self.clone(),
            account,
            place,
            _turn: turn,
        })
    }

    /// Resets the count for an account whose owner has chosen a new password. Failures of the second factor
    /// are forgiven as well, up to [`MAX_FORGIVEN`].
    pub(crate) async fn new_password(&self, user: &User) -> Result<()> {
        self.forget(&user.email).await?;
        self.forget(&passkeys_of(&user.id)).await?; // chapter: passkeys
        // chapter: second-factor {
        let query = "UPDATE login_failures SET forgiven = forgiven + failures, failures = 0 \
                     WHERE account = $1 AND forgiven + failures <= $2";
        on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(digest(&user.second_factor()));
            query.bind(MAX_FORGIVEN).execute(pool).await?;
        });
        // chapter: second-factor }
        Ok(())
    }

    /// Forgets all failures of an account.
    pub(crate) async fn forget(&self, name: &str) -> Result<()> {
        on_pool!(&self.database, pool => {
            sqlx::query(FORGET).bind(digest(name)).execute(pool).await?;
        });
        Ok(())
    }

    /// Removes at most `limit` rows without an attempt within [`KNOWN`], and returns how many. The row that locks an
    /// account for all unknown addresses is kept. It contains no client address.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM login_failures WHERE (account, place) IN \
                         (SELECT account, place FROM login_failures \
                         WHERE failed_at <= $1 AND (failures < 100 OR place <> '') LIMIT $2)";
        let before = now() - KNOWN;
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(before).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }

    async fn is_known(&self, account: &str, place: &str) -> Result<bool> {
        let query = "SELECT known_at FROM login_failures WHERE account = $1 AND place = $2";
        let known_at: Option<i64> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(account).bind(place);
            query.fetch_optional(pool).await?
        });
        let now = now();
        if known_at.is_some_and(|known_at| known_at > now) {
            self.set_back(account, place, now).await?;
        }
        Ok(known_at.is_some_and(|known_at| known_at > now - KNOWN))
    }

    async fn count(&self, query: &'static str, account: &str, place: &str) -> Result<bool> {
        let counted = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(account).bind(place);
            query.bind(now()).execute(pool).await?.rows_affected()
        });
        Ok(counted == 1)
    }

    async fn wait(&self, query: &'static str, account: &str, place: &str) -> Result<i64> {
        let now = now();
        self.set_back(account, place, now).await?;
        let next: Option<i64> = on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(account).bind(place);
            query.fetch_optional(pool).await?
        });
        Ok(next.map_or(1, |next| next - now))
    }

    /// Sets a time in the future to now. So a wait begins once, and not again with each attempt.
    async fn set_back(&self, account: &str, place: &str, now: i64) -> Result<()> {
        let query = "UPDATE login_failures SET \
                         failed_at = CASE WHEN failed_at > $3 THEN $3 ELSE failed_at END, \
                         known_at = CASE WHEN known_at > $3 THEN $3 ELSE known_at END \
                     WHERE account = $1 AND place = $2 AND (failed_at > $3 OR known_at > $3)";
        on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(account).bind(place);
            query.bind(now).execute(pool).await?;
        });
        Ok(())
    }
}

// === impl Source ===

impl Source<'_> {
    fn place(self) -> String {
        match self {
            Self::Session(session) => digest(&format!("session {session}")),
            Self::Address(ClientIp(ip)) => ip.to_string(),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// Records that the password was right. The count starts again, and the address is known from now on.
    pub(crate) async fn succeeded(self) -> Result<()> {
        let query = "UPDATE login_failures SET failures = 0, forgiven = 0, \
                     known_at = CASE WHEN place = $2 THEN $3 ELSE known_at END \
                     WHERE account = $1 AND place IN ($2, '')";
        on_pool!(&self.attempts.database, pool => {
            let query = sqlx::query(query).bind(&self.account).bind(&self.place);
            query.bind(now()).execute(pool).await?;
        });
        Ok(())
    }
}

fn too_many(name: &str, from: Source<'_>, wait: i64) -> Problem {
    let wait = u64::try_from(wait.clamp(1, MAX_WAIT)).unwrap_or(1);
    let account = operations::digest(name);
    match from {
        Source::Address(ClientIp(ip)) => {
            tracing::warn!(event = "login_throttled", account, %ip, wait);
        }
        Source::Session(session) => {
            let session = operations::digest(session);
            tracing::warn!(event = "login_throttled", account, session, wait);
        }
    }
    let detail = "Too many failed attempts. `Retry-After` says when to try again. To log in at once, \
                  choose a new password with the link in an email.";
    Problem::too_many(detail, Duration::from_secs(wait))
}
