//! [`SqliteRevocations`]: the record of what is revoked, for any number of processes on one file.

use std::time::{SystemTime, UNIX_EPOCH};

use tower_jwt_auth::StoreError;
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};

use crate::Database;

/// Rows that have expired go with the next revocation, so many at a time.
const TIDY: &str = "DELETE FROM revocations WHERE (kind, issuer, id) IN \
    (SELECT kind, issuer, id FROM revocations WHERE until < unixepoch() LIMIT 100)";

/// The revocations in the database.
#[derive(Debug)]
pub(crate) struct SqliteRevocations {
    database: Database,
}

// === impl SqliteRevocations ===

impl SqliteRevocations {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

impl RevocationStore for SqliteRevocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(id) => ("token", id, 0),
            RevocationTarget::Session(id) => ("session", id, 0),
            RevocationTarget::Subject { subject, cutoff } => ("subject", subject, *cutoff),
            _ => return Err(StoreError::new("the table knows no such revocation")),
        };
        let statement = "INSERT INTO revocations (kind, issuer, id, cutoff, until) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, issuer, id) DO UPDATE SET \
             cutoff = max(cutoff, excluded.cutoff), until = max(until, excluded.until)";
        sqlx::query(statement)
            .bind(kind)
            .bind(revocation.issuer().unwrap_or_default())
            .bind(id)
            .bind(as_integer(cutoff))
            .bind(seconds_rounded_up(revocation.until()))
            .execute(self.database.pool())
            .await
            .map_err(StoreError::new)?;
        self.database.tidy(TIDY).await;
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        let statement = "SELECT EXISTS (SELECT 1 FROM revocations WHERE issuer = ?1 AND ( \
             (kind = 'token' AND id = ?2) OR \
             (kind = 'session' AND id = ?3) OR \
             (kind = 'subject' AND id = ?4 AND cutoff >= ?5)))";
        sqlx::query_scalar(statement)
            .bind(query.issuer().unwrap_or_default())
            .bind(query.token())
            .bind(query.session()) // NULL, where there is none, equals nothing
            .bind(query.subject())
            .bind(as_integer(query.issued_at()))
            .fetch_one(self.database.pool())
            .await
            .map_err(StoreError::new)
    }
}

/// SQLite's integers end at 2^63: as microseconds, in the year 294247.
fn as_integer(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn seconds_rounded_up(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    as_integer(since.as_secs()).saturating_add(1)
}
