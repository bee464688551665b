//! The task that removes expired sessions, revocations, used proofs, links and other rows, a batch at a time.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::Parts;
use crate::error::{Error, with_causes};

/// How often the task runs. Expired rows do no harm, but take up room.
const INTERVAL: Duration = Duration::from_secs(600);
/// How many rows are removed at once. Requests wait for the locks, and SQLite has a single one for all
/// writers.
const BATCH: u32 = 500;
/// How long a batch may take. A server that falls silent must not stop the task forever.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests come first after a full batch.
const PAUSE: Duration = Duration::from_millis(50);
/// The most batches in one run. The rest is left for the next run.
const MAX_BATCHES: u32 = 1000;

/// Cleans up from time to time, and never returns: drop it to stop it. What it has not removed is removed
/// by the next run.
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
                tracing::warn!(error, "cleaning up failed; the next run tries again");
            }
        }
    }
}

/// Removes expired rows, batch by batch, and returns how many.
async fn clean_up(parts: &Parts) -> Result<u64, Error> {
    if let Some(limit) = &parts.rate_limit {
        limit.clean_up();
    }
    let mut removed = 0;
    for _ in 0..MAX_BATCHES {
        let batch = async {
            Ok::<_, Error>([
                parts.sessions.clean_up(BATCH).await?,
                parts.revocations.clean_up(SystemTime::now(), BATCH).await?,
                parts.replays.clean_up(SystemTime::now(), BATCH).await?,
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
            ])
        };
        let batch = timeout(BATCH_TIMEOUT, batch).await;
        let batch = batch.map_err(|_| "no response in time")??;
        removed += batch.iter().sum::<u64>();
        if batch.iter().all(|&rows| rows < u64::from(BATCH)) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(removed)
}
