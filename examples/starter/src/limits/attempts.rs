//! [`Attempts`]: how often passwords and codes have been tried, so that guessing takes for ever.
//!
//! Failures in a row are counted twice: for the account together with the address that they came
//! from, and for the account from all addresses that are not known. More and more have to be waited
//! for, and after 100 there is no other try from there (NIST SP 800-63B-4 section 3.2.2).
//!
//! That must be no way to lock the owner out (OWASP ASVS 5.0 V6.1.1). So an address from which the
//! owner has logged in within the last 30 days is judged by its own failures alone, and so is a session
//! that is open; and a new password begins anew from everywhere, for the second factor too: whoever
//! made those failures knew the password, and does not know the new one.
//!
//! A try is counted before the password is looked at: of a hundred that come at once, all count. They
//! take turns, so that right ones among them succeed, and begin the count anew, before the rest is
//! counted. Accounts that do not exist are counted alike.

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

/// For how long an address is known after a login, and failures are remembered.
const KNOWN: i64 = 30 * 24 * 3600;
/// In place of an address: all that are not known.
const ANYWHERE: &str = "";
/// The longest wait that is told. Who has to wait for ever is told this too.
const MAX_WAIT: i64 = 900;
// chapter: second-factor {
/// How many failures of the second factor new passwords forgive in a row: somebody who reads the owner's
/// mail must not guess without end.
const MAX_FORGIVEN: i64 = 300;
// chapter: second-factor }

/// Removes all that is known of the tries at an account, by the digest of its name.
pub(crate) const FORGET: &str = "DELETE FROM login_failures WHERE account = $1";

/// The table of failures.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    database: Database,
    gates: Gates,
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
    /// Others at the same account and place wait until this try is over.
    _turn: OwnedSemaphorePermit,
}

/// How many failures in a row are free, and how many seconds have to be waited after more.
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

/// Counts a failure, unless it is too early for another try. Without failures there is no wait, whatever
/// the clocks say.
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

/// Asks when the next try may be made.
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

    /// Whether the password of this account may be tried now. `account` is what the client calls
    /// it; there need not be one.
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

    /// Begins anew for an account whose owner has chosen a new password. Failures of the second factor
    /// are forgiven as well, but not without end.
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

    /// Removes at most `limit` that say nothing any more, and tells how many. What locks an account is
    /// kept, but without the address of a client.
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

    /// A time in the future counts as now, from now on: a wait begins, and does not begin anew each time.
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
    /// The password was right: failures in a row begin anew, and the address is known.
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
    let detail = "Too many failures. `Retry-After` says when to try again; a new password, by the link \
                  in an email, works at once.";
    Problem::too_many(detail, Duration::from_secs(wait))
}
