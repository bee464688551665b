//! The task that removes what is over: sessions, revocations and links, a batch at a time.

use std::time::{Duration, SystemTime};

use super::Parts;
use crate::error::{Error, with_causes};

/// How often it looks. Rows that are over harm nobody: they only take up room.
const INTERVAL: Duration = Duration::from_secs(600);
/// How many rows go at once: requests wait for locks, and SQLite has one for all writers.
const BATCH: u32 = 500;
/// After a full batch, requests come first for this long.
const PAUSE: Duration = Duration::from_millis(50);
/// The most batches in one go; the rest is left for the next.
const MAX_BATCHES: u32 = 1000;

/// Cleans up now and then, and never ends: drop it to stop it. What it was about to remove is removed
/// the next time.
pub(super) async fn keep_clean(parts: &Parts) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match clean_up(parts).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "cleaned up"),
            Err(error) => {
                let error = with_causes(&*error);
                tracing::warn!(error, "not cleaned up; the next time will do");
            }
        }
    }
}

/// Removes what is over, batch by batch, and returns how many rows.
async fn clean_up(parts: &Parts) -> Result<u64, Error> {
    if let Some(limit) = &parts.rate_limit {
        limit.clean_up();
    }
    let mut removed = 0;
    for _ in 0..MAX_BATCHES {
        let batch = [
            parts.sessions.clean_up(BATCH).await?,
            parts.revocations.clean_up(SystemTime::now(), BATCH).await?,
            parts.one_time.clean_up(BATCH).await?,
            parts.attempts.clean_up(BATCH).await?,
            parts.accounts.registrations.clean_up(BATCH).await?,
            parts.accounts.clear_removed(BATCH).await?,
            parts.accounts.email_changes.clean_up(BATCH).await?,
            parts.quotas.clean_up(BATCH).await?,
            parts.passkeys.clean_up(BATCH).await?, // chapter: passkeys
            parts.api_keys.clean_up(BATCH).await?, // chapter: api-keys
            parts.factors.challenges.clean_up(BATCH).await?, // chapter: second-factor
            parts.factors.clean_up(BATCH).await?,  // chapter: second-factor
            parts.social_login.clean_up(BATCH).await?, // chapter: social-login
        ];
        removed += batch.iter().sum::<u64>();
        if batch.iter().all(|&rows| rows < u64::from(BATCH)) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(removed)
}
