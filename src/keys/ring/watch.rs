//! [`Watcher`]: follows the file of a ring in the background, and keeps its schedule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use super::inner::{Forget, Inner};
use super::look::{MAX_WAIT, look};
use crate::error::ConfigError;

/// The task that follows the file. It ends when this value is dropped.
#[derive(Default)]
pub(super) struct Watcher {
    task: Mutex<Option<AbortHandle>>,
}

/// Keeps the schedule and follows the file until the ring is gone.
pub(super) fn start(inner: &Arc<Inner>) -> Result<(), ConfigError> {
    let runtime = Handle::try_current().map_err(|_| {
        ConfigError::Invalid(
            "`KeyRing::watch` was called outside of a Tokio runtime: call it inside one".into(),
        )
    })?;
    let mut task = inner.watcher.task();
    if task.as_ref().is_none_or(AbortHandle::is_finished) {
        let follow = follow(Arc::downgrade(inner), inner.check_every);
        *task = Some(runtime.spawn(follow).abort_handle());
    }
    Ok(())
}

/// Checks the file at intervals. Changes run in a thread of their own, so that reading never waits for the
/// lock.
async fn follow(ring: Weak<Inner>, every: Duration) {
    let mut change: Option<JoinHandle<()>> = None;
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = ring.upgrade() else { return };
        let is_read = tokio::time::timeout(MAX_WAIT, look(&inner)).await.is_ok();
        let changes = change.as_ref().is_some_and(|change| !change.is_finished());
        if is_read && inner.reading_problem().is_none() && !changes {
            change = keep_schedule(&inner);
        }
        inner.log(); // reports a check that hangs, and a wrong clock
    }
}

fn keep_schedule(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    if !inner.is_due(Forget::Yes) {
        inner.problems.set_changing::<()>(&Ok(()));
        return None;
    }
    let inner = Arc::clone(inner);
    // It waits for the lock and the disk, and generating an RSA key takes a while.
    Some(tokio::task::spawn_blocking(move || {
        let _ = inner.keep_schedule(); // it records its error
    }))
}

// === impl Watcher ===

impl Watcher {
    fn task(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = self.task().take() {
            task.abort();
        }
    }
}
