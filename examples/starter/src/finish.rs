//! [`finish`]: completes work that must not stop in the middle when the client disconnects.

use std::future::pending;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, Span};

/// How long the work may take: far longer than a request, and than any statement. Work that waits for a server that
/// has fallen silent would otherwise keep its connection to the database for as long as the connection stays open.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the work to its end, even if the request that awaits it is dropped. After [`LIMIT`], the work is abandoned.
pub(crate) async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    finish_within(LIMIT, work).await
}

async fn finish_within<T: Send + 'static>(
    limit: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let limited = async move {
        let done = timeout(limit, work).await;
        if done.is_err() {
            tracing::warn!("work of a request was abandoned: there was no response in time");
        }
        done.ok()
    };
    // What the work logs belongs to the request.
    match tokio::spawn(limited.instrument(Span::current())).await {
        Ok(Some(done)) => done,
        // Nobody waits any more: the request itself was answered after a shorter time.
        Ok(None) => pending().await,
        // The task is never cancelled, so it has panicked. The panic continues here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_never_ends_is_abandoned() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _held = held;
            pending::<()>().await
        };
        let request = tokio::spawn(finish_within(Duration::from_millis(1), work));
        assert!(released.await.is_err(), "what the work held is released");
        request.abort();
    }

    #[tokio::test]
    async fn a_dropped_request_does_not_stop_its_work() {
        let (done, is_done) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        };
        let mut request = Box::pin(finish(work));
        assert!(futures_util::poll!(&mut request).is_pending());
        drop(request);
        assert!(is_done.await.is_ok());
    }
}
