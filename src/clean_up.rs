//! [`CleanUpTask`]: removes expired entries from a store, in the background.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::error::ConfigError;

/// The number of rows that the task removes at once. Requests may wait for their locks meanwhile.
const BATCH: u32 = 500;
/// The pause after a full batch, in which requests come first.
const PAUSE: Duration = Duration::from_millis(50);

/// The time limit of a batch. A store that no longer responds must not stop the task forever.
const LIMIT: Duration = Duration::from_secs(60);

/// A background task that removes expired entries from a store, such as sessions that have ended.
///
/// It is started by `clean_up_every` of a service or store, for example
/// [`Sessions::clean_up_every`](crate::Sessions::clean_up_every). Dropping it stops the task.
#[derive(Debug)]
#[must_use = "dropping it stops the task"]
pub struct CleanUpTask {
    task: AbortHandle,
}

/// Starts a task that calls `clean_up` at once, and again after each period, with the number of rows
/// that it may remove. The task repeats the call as long as that many are removed.
pub(crate) fn every<F, E>(
    period: Duration,
    what: &'static str,
    clean_up: impl Fn(u32) -> F + Send + Sync + 'static,
) -> Result<CleanUpTask, ConfigError>
where
    F: Future<Output = Result<u64, E>> + Send + 'static,
    E: StdError + Send + 'static,
{
    if period.is_zero() {
        return Err(ConfigError::Invalid(
            "the period between two clean-ups is zero: set it to a few minutes".into(),
        ));
    }
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
        ConfigError::Invalid(
            "the clean-up is a Tokio task, but there is no runtime: call `clean_up_every` \
             inside one, such as in `#[tokio::main]`"
                .into(),
        )
    })?;
    let task = runtime.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            all(what, &clean_up).await;
        }
    });
    Ok(CleanUpTask {
        task: task.abort_handle(),
    })
}

async fn all<F, E>(what: &'static str, clean_up: &impl Fn(u32) -> F)
where
    F: Future<Output = Result<u64, E>>,
    E: StdError,
{
    loop {
        let _error = match timeout(LIMIT, clean_up(BATCH)).await {
            Ok(Ok(removed)) if removed >= u64::from(BATCH) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no response in time".to_owned(),
        };
        #[cfg(feature = "tracing")]
        tracing::warn!(event = "clean_up_failed", error = %_error, "{what} were not removed");
        #[cfg(not(feature = "tracing"))]
        let _ = what;
        return;
    }
}

// === impl CleanUpTask ===

impl Drop for CleanUpTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::store::StoreError;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_falls_silent_does_not_stop_the_task() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let silent = move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<Result<u64, StoreError>>()
        };
        let _task = every(Duration::from_secs(1), "rows", silent).unwrap();
        tokio::time::sleep(2 * LIMIT + Duration::from_secs(30)).await;
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
