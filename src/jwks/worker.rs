//! The task that fetches, one for each source.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::source::Shared;

/// Fetches when it is time to or somebody asks, until nobody holds the source any more.
pub(super) async fn run(shared: Weak<Shared>) {
    let Some(first) = shared.upgrade() else {
        return;
    };
    let _alive = Alive(Arc::clone(&first.has_worker));
    let wake = Arc::clone(&first.wake);
    drop(first);
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
