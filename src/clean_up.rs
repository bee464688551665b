//! [`CleanUpTask`]: removes what is over from a store, in the background.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::error::ConfigError;

/// How many rows the task removes at once. Requests may wait for locks in the meantime.
const BATCH: u32 = 500;
/// The pause after a full batch, in which requests come first.
const PAUSE: Duration = Duration::from_millis(50);

/// A background task that removes what is over from a store; see
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
        match clean_up(BATCH).await {
            Ok(removed) if removed >= u64::from(BATCH) => tokio::time::sleep(PAUSE).await,
            Ok(_) => return,
            Err(_error) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(event = "clean_up_failed", error = %_error, "{what} were not removed");
                #[cfg(not(feature = "tracing"))]
                let _ = what;
                return;
            }
        }
    }
}

// === impl CleanUpTask ===

impl Drop for CleanUpTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}
