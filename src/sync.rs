//! The locks and atomics of code whose order of steps matters.
//!
//! With `--cfg loom`, the tests named `models` use those of `loom` instead, which runs the threads of a test
//! in every possible order.

#[cfg(not(all(test, loom)))]
pub(crate) use std::hash::RandomState;
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic;
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};
#[cfg(all(feature = "cache", not(all(test, loom))))]
pub(crate) use tokio::time::timeout;

#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic;
#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock};

/// Hashes in the same way in each run, because the result of a model must not depend on chance.
#[cfg(all(test, loom))]
pub(crate) type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// The error of a time limit that was exceeded, which never happens in a model.
#[cfg(all(feature = "cache", test, loom))]
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Waits without a limit: a model has no time, and nothing in it takes any.
#[cfg(all(feature = "cache", test, loom))]
pub(crate) async fn timeout<T>(
    _: std::time::Duration,
    future: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    Ok(future.await)
}
