//! Removing sessions that are over, once or in the background.

use std::time::Duration;

use super::Sessions;
use super::error::SessionError;
use crate::clean_up::{self, CleanUpTask};
use crate::clock::as_micros;
use crate::error::ConfigError;

/// How long a session is kept after its end, in addition to the longest lifetime of its access
/// tokens: one hour, so that a node whose clock is ahead removes nothing that another still needs.
pub const CLOCK_SLACK: Duration = Duration::from_secs(3600);

// === impl Sessions ===

impl Sessions {
    /// Removes at most `limit` sessions that are over, and returns how many it removed. Call it
    /// regularly, or let [`clean_up_every`](Self::clean_up_every) do so.
    ///
    /// A session is removed once it has been over for the longest lifetime of an access token and
    /// an [hour](CLOCK_SLACK).
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    pub async fn clean_up(&self, limit: u32) -> Result<u64, SessionError> {
        let tokens = &self.inner.tokens;
        let kept = as_micros(tokens.max_access_ttl() + CLOCK_SLACK);
        let before = tokens.now().saturating_sub(kept);
        Ok(self.inner.store.clean_up(before, limit).await?)
    }

    /// Starts a task that removes sessions that are over: at once, and again after each `period`.
    /// It removes 500 at a time, with pauses. If the store is unavailable, the task tries again
    /// after the next period.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_jwt_auth::{Algorithm, Sessions, SigningKey, TokenIssuer};
    /// # use tower_jwt_auth::sessions::MemorySessions;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # let key = SigningKey::generate(Algorithm::HS256)?;
    /// # let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
    /// # let sessions = Sessions::builder(&tokens, MemorySessions::new()).build()?;
    /// let _task = sessions.clean_up_every(Duration::from_secs(600))?; // runs until it is dropped
    /// # Ok::<(), tower_jwt_auth::ConfigError>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the period is zero, or if it is called outside a Tokio runtime.
    pub fn clean_up_every(&self, period: Duration) -> Result<CleanUpTask, ConfigError> {
        let sessions = self.clone();
        clean_up::every(period, "sessions that are over", move |limit| {
            let sessions = sessions.clone();
            async move { sessions.clean_up(limit).await }
        })
    }
}
