//! What all stores share: [`StoreError`], the connection to Redis, and the time limit of a call.

#[cfg(feature = "redis")]
pub(crate) mod redis_connection;

#[cfg(feature = "redis")]
pub use redis_connection::RedisConnection;

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::error::{AuthError, AuthErrorKind};
use crate::sync::timeout;

/// The error of a store that could not be reached, did not respond in time, or failed.
///
/// The result of the call is then unknown, so the response to the request is a 503. The request is
/// neither refused with 401 nor let through.
#[derive(Debug)]
pub struct StoreError {
    source: Box<dyn StdError + Send + Sync>,
}

// === impl StoreError ===

impl StoreError {
    /// Creates the error from an error of the store's driver, or from a text. It is meant for logs:
    /// keep tokens and passwords out of it.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is unavailable")
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::new(AuthErrorKind::Unavailable).with_source(error)
    }
}

/// The default time limit of a call to a session store: 2 seconds.
pub const DEFAULT_SESSION_STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits for a call to a store, and fails if it takes longer than `limit`. Without a Tokio runtime there is
/// no timer, so the call has no time limit.
pub(crate) async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return call.await;
    }
    match timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::new(format!(
            "the store did not respond within {} ms",
            limit.as_millis()
        ))),
    }
}

/// Runs work to its end even if the caller stops waiting for it, if there is a Tokio runtime.
///
/// A request can be dropped at any `await`. Work that must not be left half done goes in here.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn(work).await.map_err(StoreError::new),
        Err(_) => Ok(work.await),
    }
}

/// Runs calls to their end even if their requests are dropped. Their number is limited, so that a store that
/// hangs does not leave more and more of them behind.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    permits: Arc<Semaphore>,
    max: usize,
}

// === impl Calls ===

impl Calls {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// Runs work to its end, or fails if too many calls are in progress.
    pub(crate) async fn whole<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let busy = format!("{} calls are in progress: the store is too slow", self.max);
            return Err(StoreError::new(busy).into());
        };
        to_the_end(async move {
            let done = work.await;
            drop(permit);
            done
        })
        .await?
    }
}
