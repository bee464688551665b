//! Runs a future that has nothing to wait for.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls the future once. Everything that a target needs is in memory, so the future is ready.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waits, although everything is in memory"),
    }
}
