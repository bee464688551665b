//! The background task that fetches keys. Each source has one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::shared::Shared;

/// Starts the task. If the runtime ends, it may be dropped before it has run.
pub(super) fn start(runtime: &Handle, shared: &Arc<Shared>) {
    let alive = Alive(Arc::clone(&shared.has_worker));
    let wake = Arc::clone(&shared.wake);
    runtime.spawn(run(Arc::downgrade(shared), wake, alive));
}

/// Fetches when it is time to or a request needs it, until the source is dropped.
async fn run(shared: Weak<Shared>, wake: Arc<Notify>, _alive: Alive) {
    while let Some(source) = shared.upgrade() {
        source.fetch_if_due().await;
        let next = source.next();
        drop(source);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = wake.notified() => {}
        }
    }
}

/// Allows another task to start when this one ends, for whatever reason.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
