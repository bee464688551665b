//! [`RecoveryCodes`]: codes for users who have lost their phone. Each works once.

use std::collections::BTreeSet;

use sqlx::Result;

use crate::accounts::digest;
use crate::database::Database;
use crate::database::on_pool;
use crate::typed::RecoveryCode;

const CODES: usize = 10;

/// The statements that replace all codes of a user.
pub(super) const CLEAR: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
pub(super) const INSERT: &str = "INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)";

/// The table of codes. They have 128 random bits, so a SHA-256 is enough (OWASP ASVS 5.0 V6.5.2).
#[derive(Debug, Clone)]
pub(crate) struct RecoveryCodes {
    database: Database,
}

// === impl RecoveryCodes ===

impl RecoveryCodes {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(crate) async fn count(&self, user: &str) -> Result<i64> {
        let query = "SELECT count(*) FROM recovery_codes WHERE user_id = $1";
        on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_one(pool).await
        })
    }

    /// Uses up a code. Returns whether it was right.
    pub(crate) async fn take(&self, user: &str, code: &RecoveryCode) -> Result<bool> {
        let query = "DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2";
        let taken = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(user).bind(digest(code.as_str()));
            query.execute(pool).await?.rows_affected()
        });
        Ok(taken == 1)
    }
}

/// Returns a new set of codes for a user.
pub(super) fn new_codes() -> Result<BTreeSet<RecoveryCode>> {
    let mut codes = BTreeSet::new();
    while codes.len() < CODES {
        codes.insert(new_code()?);
    }
    Ok(codes)
}

fn new_code() -> Result<RecoveryCode> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(RecoveryCode::new(u128::from_ne_bytes(bytes)))
}
