//! [`SmsCodes`]: six-digit codes that are sent to phones.

use sqlx::Result;

use crate::database::Database;
use crate::database::on_pool;
use crate::passwords::Passwords;
use crate::problem::Problem;
use crate::times::{SKEW, now};
use crate::typed::OneTimeCode;

/// How long a code is valid, in seconds (OWASP ASVS 5.0 V6.5.5).
const LIFETIME: i64 = 300;
/// How many attempts a code allows (OWASP ASVS 5.0 V6.6.3).
const MAX_TRIES: i64 = 5;
/// How many codes a user gets within 15 minutes. Each costs money.
const MAX_SENT: i64 = 5;
pub(super) const WINDOW_SECONDS: i64 = 900;

/// The one thing that a code can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmsPurpose {
    Enrol,
    Login,
}

/// The table of codes, one for each user and purpose. Six digits can be guessed from a fast hash, so they
/// are hashed like passwords (OWASP ASVS 5.0 V6.5.2).
#[derive(Debug, Clone)]
pub(crate) struct SmsCodes {
    database: Database,
    passwords: Passwords,
}

// === impl SmsPurpose ===

impl SmsPurpose {
    fn name(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Login => "login",
        }
    }
}

// === impl SmsCodes ===

impl SmsCodes {
    pub(crate) fn new(database: Database, passwords: Passwords) -> Self {
        Self {
            database,
            passwords,
        }
    }

    /// Makes a new code, which replaces the previous one. Returns `None` if the user has had too many.
    pub(crate) async fn make(
        &self,
        user: &str,
        purpose: SmsPurpose,
    ) -> std::result::Result<Option<String>, Problem> {
        let code = new_code()?;
        let hash = self.passwords.hash(&code).await?;
        let query = "INSERT INTO sms_codes AS c \
                         (user_id, purpose, hash, tries, expires_at, sent, sent_since) \
                     VALUES ($1, $2, $3, 0, $4, 1, $5) ON CONFLICT (user_id, purpose) \
                     DO UPDATE SET hash = $3, tries = 0, expires_at = $4, \
                         sent = CASE WHEN c.sent_since <= $6 OR c.sent_since > $8 \
                             THEN 1 ELSE c.sent + 1 END, \
                         sent_since = CASE WHEN c.sent_since <= $6 OR c.sent_since > $8 \
                             THEN $5 ELSE c.sent_since END \
                     WHERE c.sent_since <= $6 OR c.sent_since > $8 OR c.sent < $7";
        let made = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(user).bind(purpose.name()).bind(hash.as_str());
            let query = query.bind(now() + LIFETIME).bind(now()).bind(now() - WINDOW_SECONDS);
            query.bind(MAX_SENT).bind(now() + SKEW).execute(pool).await?.rows_affected()
        });
        Ok((made == 1).then_some(code))
    }

    /// Uses up a code. Counts the attempt before it checks the code.
    pub(crate) async fn take(
        &self,
        user: &str,
        purpose: SmsPurpose,
        code: &OneTimeCode,
    ) -> std::result::Result<bool, Problem> {
        let Some(hash) = self.count_try(user, purpose).await? else {
            return Ok(false);
        };
        let verified = self.passwords.verify(code.as_str(), Some(&hash)).await?;
        if !verified.is_match() {
            return Ok(false);
        }
        let query = "UPDATE sms_codes SET expires_at = 0 \
                     WHERE user_id = $1 AND purpose = $2 AND hash = $3 AND expires_at > 0";
        let taken = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(user).bind(purpose.name()).bind(&hash);
            query.execute(pool).await?.rows_affected()
        });
        Ok(taken == 1)
    }

    async fn count_try(&self, user: &str, purpose: SmsPurpose) -> Result<Option<String>> {
        let query = "UPDATE sms_codes SET tries = tries + 1 WHERE user_id = $1 AND purpose = $2 \
                     AND expires_at > $3 AND expires_at <= $5 AND tries < $4 RETURNING hash";
        on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(user).bind(purpose.name());
            query.bind(now()).bind(MAX_TRIES).bind(now() + LIFETIME + SKEW).fetch_optional(pool).await
        })
    }
}

/// Returns six digits. Each of the million codes has the same probability.
fn new_code() -> std::result::Result<String, Problem> {
    const FAIR: u32 = u32::MAX - u32::MAX % 1_000_000;
    loop {
        let mut bytes = [0; 4];
        let filled = getrandom::fill(&mut bytes).map_err(std::io::Error::from);
        filled.map_err(sqlx::Error::from)?;
        let number = u32::from_le_bytes(bytes);
        if number < FAIR {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}
