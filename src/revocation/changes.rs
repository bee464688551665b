//! [`RevocationChanges`]: how a stream learns that its token may have been revoked.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

/// The default interval at which streams ask a store: 5 seconds.
pub const DEFAULT_STREAM_POLL: Duration = Duration::from_secs(5);
/// The shortest interval, so that a stream never asks without a pause.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// How [`VerifiedToken::ended`](crate::VerifiedToken::ended) learns of revocations: by a signal of the
/// store, by asking at an interval, or both.
#[derive(Debug, Clone)]
pub struct RevocationChanges {
    every: Option<Duration>,
    pushed: Option<watch::Receiver<()>>,
    /// The signal of a second store.
    also_pushed: Option<watch::Receiver<()>>,
}

/// Wakes the streams that wait for revocations, so that they ask the store. A store of your own sends
/// it whenever a revocation is in effect. Clones are one signal.
#[derive(Debug, Clone)]
pub struct RevocationSignal {
    sender: Arc<watch::Sender<()>>,
}

// === impl RevocationSignal ===

impl RevocationSignal {
    /// Creates a signal that nobody waits for yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(())),
        }
    }

    /// Wakes every stream that waits. It costs almost nothing if no stream waits.
    pub fn send(&self) {
        self.sender.send_replace(());
    }

    /// Returns the number of streams that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sender.receiver_count()
    }
}

impl Default for RevocationSignal {
    fn default() -> Self {
        Self::new()
    }
}

// === impl RevocationChanges ===

impl RevocationChanges {
    /// Asks the store at this interval, which is at least 100 ms.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self {
            every: Some(interval.max(SHORTEST_POLL)),
            pushed: None,
            also_pushed: None,
        }
    }

    /// Asks the store when the signal is sent.
    #[must_use]
    pub fn pushed_by(signal: &RevocationSignal) -> Self {
        Self {
            every: None,
            pushed: Some(signal.sender.subscribe()),
            also_pushed: None,
        }
    }

    /// Adds an interval at which the store is asked as well: 100 ms at least.
    #[must_use]
    pub fn and_every(mut self, interval: Duration) -> Self {
        self.every = Some(interval.max(SHORTEST_POLL));
        self
    }

    pub(crate) const fn interval(&self) -> Option<Duration> {
        self.every
    }

    /// Also learns of the changes of another store: by its signal, and at its interval if that is shorter.
    pub(crate) fn and_those_of(mut self, other: Self) -> Self {
        self.also_pushed = other.pushed;
        self.every = match (self.every, other.every) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self
    }

    /// Forgets the signals so far: the store is asked after this.
    pub(crate) fn mark_seen(&mut self) {
        let both = [&mut self.pushed, &mut self.also_pushed];
        for pushed in both.into_iter().flatten() {
            pushed.mark_unchanged();
        }
    }

    /// Waits for the next signal. It never ends if no signal comes.
    pub(crate) async fn pushed(&mut self) {
        let mut one = pin!(next(&mut self.pushed));
        let mut other = pin!(next(&mut self.also_pushed));
        poll_fn(|cx| {
            if one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Waits for the next signal of one store.
async fn next(pushed: &mut Option<watch::Receiver<()>>) {
    let alive = match pushed {
        Some(pushed) => pushed.changed().await.is_ok(),
        None => false,
    };
    if !alive {
        *pushed = None;
        std::future::pending::<()>().await;
    }
}
