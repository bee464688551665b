//! [`finish`]: work that must not stop in the middle because the client has gone.

use tracing::{Instrument, Span};

/// Runs to its end also when the request that awaits it is dropped.
pub(crate) async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // What it logs belongs to the request.
    match tokio::spawn(work.instrument(Span::current())).await {
        Ok(done) => done,
        // It is never cancelled, so it has panicked: that goes on here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
