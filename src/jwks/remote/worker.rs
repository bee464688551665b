//! The task that fetches, one for each source.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::source::Shared;

/// Starts the task. It may be dropped before it ran at all, with a runtime that ends.
pub(super) fn start(runtime: &Handle, shared: &Arc<Shared>) {
    let alive = Alive(Arc::clone(&shared.has_worker));
    let wake = Arc::clone(&shared.wake);
    runtime.spawn(run(Arc::downgrade(shared), wake, alive));
}

/// Fetches when it is time to or somebody asks, until nobody holds the source any more.
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

/// However the task ends, another one may take its place.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
