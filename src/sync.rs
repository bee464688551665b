//! The locks, atomics and time limits of code whose order of steps matters.
//!
//! With `--cfg loom`, the tests named `models` use those of `loom` instead, which runs the threads of a test
//! in every possible order.

#[cfg(not(all(test, loom)))]
use std::pin::pin;
use std::time::Duration;

#[cfg(not(all(test, loom)))]
pub(crate) use std::hash::RandomState;
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic;
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic;
#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock};

/// Hashes in the same way in each run, because the result of a model must not depend on chance.
#[cfg(all(test, loom))]
pub(crate) type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// The time limit of a call was exceeded.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Waits for at most `limit`. A pause of the whole process, as in a container that is out of processor time,
/// uses up no more than half of it: a reply that came in during the pause is still read.
#[cfg(not(all(test, loom)))]
pub(crate) async fn timeout<T>(
    limit: Duration,
    call: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let mut call = pin!(call);
    let half = limit / 2;
    let first = tokio::time::timeout(limit.saturating_sub(half), call.as_mut()).await;
    if let Ok(done) = first {
        return Ok(done);
    }
    // A timer that is due at the end of a pause may come before the reply. So this one starts only now.
    let second = tokio::time::timeout(half, call).await;
    second.map_err(|_| Elapsed)
}

/// Waits without a limit: a model has no time, and nothing in it takes any.
#[cfg(all(test, loom))]
pub(crate) async fn timeout<T>(_: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
    Ok(call.await)
}
