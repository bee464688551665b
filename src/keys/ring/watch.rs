//! Follows the file of a ring: every few seconds in the background, and at once for an unknown key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::{Forget, Inner};
use crate::error::{AuthError, AuthErrorKind, ConfigError};

/// How long a request waits for a look at the file.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How many requests wait at once; more are answered with 503.
const MAX_WAITING: usize = 1024;

/// What runs for a ring; it ends with the value.
pub(super) struct Watcher {
    task: Mutex<Option<AbortHandle>>,
    /// When the last look for an unknown key began.
    looked: tokio::sync::Mutex<Option<Instant>>,
    places: Semaphore,
}

/// Keeps the schedule and follows the file until the ring is gone.
pub(super) fn start(inner: &Arc<Inner>) -> Result<(), ConfigError> {
    let runtime = Handle::try_current().map_err(|_| {
        ConfigError::Invalid("a key ring is watched by a tokio runtime: call it inside one".into())
    })?;
    let mut task = inner.watcher.task();
    if task.as_ref().is_none_or(AbortHandle::is_finished) {
        let follow = follow(Arc::downgrade(inner), inner.check_every);
        *task = Some(runtime.spawn(follow).abort_handle());
    }
    Ok(())
}

async fn follow(ring: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = ring.upgrade() else { return };
        // The file may be on a slow disk, and a new RSA key takes a while.
        let work = tokio::task::spawn_blocking(move || {
            let _changing = inner.changing();
            let _ = inner.told(inner.maintain(Forget::Yes));
        });
        let _ = work.await;
    }
}

/// Looks whether the file has changed, once for all who ask at the same time.
///
/// Anybody can cause this by a token with a made-up `kid`: however many come and go, one look at a
/// small file runs at a time, whoever came before it began takes its result, and nobody waits long.
pub(super) async fn look_now(inner: &Arc<Inner>) -> Result<(), AuthError> {
    let Ok(_place) = inner.watcher.places.try_acquire() else {
        return Err(unavailable(
            "too many requests wait for the file of the key ring",
        ));
    };
    let asked = Instant::now();
    let look = tokio::spawn(look(Arc::clone(inner), asked)); // goes on if the request is dropped
    match tokio::time::timeout(MAX_WAIT, look).await {
        Ok(Ok(())) => {}
        _ => return Err(unavailable("the file of the key ring is not read in time")),
    }
    match inner.problem.load_full() {
        None => Ok(()),
        // The key may be in there.
        Some(problem) => Err(unavailable("the file of the key ring cannot be used")
            .with_source(ConfigError::clone(&problem))),
    }
}

async fn look(inner: Arc<Inner>, asked: Instant) {
    let mut looked = inner.watcher.looked.lock().await;
    if looked.is_none_or(|began| began < asked) {
        *looked = Some(Instant::now());
        let ring = Arc::clone(&inner);
        let look = tokio::task::spawn_blocking(move || {
            let _changing = ring.changing();
            ring.told_by_reading(&ring.reload());
        });
        let _ = look.await;
    }
}

fn unavailable(why: &'static str) -> AuthError {
    AuthError::new(AuthErrorKind::Unavailable).because(why)
}

// === impl Watcher ===

impl Watcher {
    fn task(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self {
            task: Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            places: Semaphore::new(MAX_WAITING),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = self.task().take() {
            task.abort();
        }
    }
}
