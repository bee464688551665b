//! [`finish`]: work that must not stop in the middle because the client has gone.

use tracing::{Instrument, Span};

/// Runs the work to its end, even if the request that awaits it is dropped.
pub(crate) async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // What the work logs belongs to the request.
    match tokio::spawn(work.instrument(Span::current())).await {
        Ok(done) => done,
        // The task is never cancelled, so it has panicked. The panic continues here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
