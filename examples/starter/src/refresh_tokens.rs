//! [`UsedRefreshTokens`]: each refresh token is good for one trade.

use sqlx::Result;
use tower_jwt_auth::{MAX_LEEWAY, VerifiedToken};

use crate::Database;

/// Rows that have expired go with the next trade, so many at a time.
const TIDY: &str = "DELETE FROM used_refresh_tokens WHERE jti IN \
    (SELECT jti FROM used_refresh_tokens WHERE until < unixepoch() LIMIT 100)";

/// The refresh tokens that have been traded in.
#[derive(Debug, Clone)]
pub(crate) struct UsedRefreshTokens {
    database: Database,
}

// === impl UsedRefreshTokens ===

impl UsedRefreshTokens {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Uses the token up. Of any number of callers at once exactly one gets true: the statement
    /// decides, not a look at the table before it.
    pub(crate) async fn use_up(&self, token: &VerifiedToken) -> Result<bool> {
        let Some(id) = token.token_id() else {
            return Ok(false);
        };
        // Until no verifier accepts the token any more, whatever its leeway.
        let until = token.expires_at().as_secs() + MAX_LEEWAY.as_secs() + 1;
        let statement =
            "INSERT INTO used_refresh_tokens (jti, until) VALUES (?, ?) ON CONFLICT DO NOTHING";
        let used = sqlx::query(statement)
            .bind(id)
            .bind(i64::try_from(until).unwrap_or(i64::MAX))
            .execute(self.database.pool())
            .await?;
        self.database.tidy(TIDY).await;
        Ok(used.rows_affected() == 1)
    }
}
