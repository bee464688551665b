//! The task that removes what is over: sessions, revocations and links, a batch at a time.

use std::time::{Duration, SystemTime};

use crate::error::with_causes;
use crate::{App, Error};

/// How often it looks. Rows that are over harm nobody: they only take up room.
const INTERVAL: Duration = Duration::from_secs(600);
/// How many rows go at once: requests wait for locks, and SQLite has one for all writers.
const BATCH: u32 = 500;
/// After a full batch, requests come first for this long.
const PAUSE: Duration = Duration::from_millis(50);
/// The most batches in one go; the rest is left for the next.
const MAX_BATCHES: u32 = 1000;

// === impl App ===

impl App {
    /// Cleans up now and then, and never ends: drop it to stop it. What it was about to remove
    /// is removed the next time.
    pub(crate) async fn keep_clean(&self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.clean_up().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "cleaned up"),
                Err(error) => {
                    let error = with_causes(&*error);
                    tracing::warn!(error, "not cleaned up; the next time will do");
                }
            }
        }
    }

    /// Removes sessions, revocations and links that are over, batch by batch, and tells how many.
    async fn clean_up(&self) -> Result<u64, Error> {
        if let Some(limit) = &self.rate_limit {
            limit.clean_up();
        }
        let mut removed = 0;
        for _ in 0..MAX_BATCHES {
            let sessions = self.sessions.clean_up(BATCH).await?;
            let now = SystemTime::now();
            let revocations = self.revocations.clean_up(now, BATCH).await?;
            let links = self.one_time.clean_up(BATCH).await?;
            let logins = self.factors.challenges.clean_up(BATCH).await?;
            let failures = self.attempts.clean_up(BATCH).await?;
            let registrations = self.accounts.registrations.clean_up(BATCH).await?;
            let factors = self.factors.clean_up(BATCH).await?;
            let accounts = self.accounts.clear_removed(BATCH).await?;
            let batch = [
                sessions,
                revocations,
                links,
                logins,
                failures,
                registrations,
                factors,
                accounts,
            ];
            removed += batch.iter().sum::<u64>();
            if batch.iter().all(|&rows| rows < u64::from(BATCH)) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(removed)
    }
}
