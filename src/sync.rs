//! The locks and atomics of code whose order of steps matters.
//!
//! Built with `--cfg loom`, the tests named `models` take those of `loom` instead, which runs them in every
//! order that threads can take.

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

/// The same in each run: what a model does must not depend on chance.
#[cfg(all(test, loom))]
pub(crate) type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// That the time is over, which does not happen in a model.
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
