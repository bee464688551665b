//! [`RevocationPushes`]: what other nodes revoke, as soon as they do.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select;
use futures_util::stream::StreamExt;
use redis::aio::{ConnectionLike, PubSubSink, PubSubStream};
use redis::{Client, IntoConnectionInfo, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{RedisRevocations, message};
use crate::redis_connection::{CONNECT_TIMEOUT, failed};
use crate::revocation::{CachedRevocations, RevocationStore};
use crate::store::StoreError;

/// How long it takes at most until a subscription that has silently died is noticed. One whose
/// connection was closed is noticed at once.
pub const LOSS_NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// How often the server is asked whether it is still there, and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(1);
const PONG_WITHIN: Duration = Duration::from_millis(900);
/// The wait before a subscription is tried again doubles between these.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Feeds what any node revokes into a cache, for as long as it is kept. Dropping it ends the
/// subscription, and the lag of the cache is what remains.
///
/// # When the subscription is lost
///
/// That is noticed at once where the connection is closed, and within
/// [`LOSS_NOTICED_WITHIN`] where it just falls silent. From then on "not revoked" from before does not count, and the cache asks Redis; each answer is believed for the
/// [lag](CachedRevocations::lag) at most, as without pushes. It is tried again after 100 ms,
/// and then at growing intervals up to 5 s. When it is back, answers from before are forgotten once more.
///
/// So a revocation is known everywhere at once while subscribed, and within the lag in any case.
///
/// # Security
///
/// Who may publish on the channel can have tokens refused for as long as a push is remembered
/// ([`learn`](CachedRevocations::learn)), but not make revoked ones good. Limit it with an ACL (`&jwt-auth:revocations`). Messages that
/// cannot be read are [counted](Self::unreadable) and ignored.
///
/// # Why publish and subscribe
///
/// Client-side tracking would have Redis remember for each node which of its keys were read, needs a tracked connection to each node of a
/// cluster, and tells only that a key has changed. A message has the revocation in it, and one subscription to any node
/// of a cluster gets them all. Neither is ever sent twice, so both need the rules above.
#[must_use = "dropping it ends the subscription"]
pub struct RevocationPushes {
    state: Arc<State>,
    subscribed: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    learned: AtomicU64,
    unreadable: AtomicU64,
    losses: AtomicU64,
}

struct Subscriber<S> {
    client: Client,
    channel: String,
    cache: Arc<CachedRevocations<S>>,
    state: Arc<State>,
    subscribed: watch::Sender<bool>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisRevocations<C> {
    /// Feeds what any node revokes into `cache`, over a connection of its own to `server`: the
    /// same server, or any node of the cluster. Returns at once;
    /// [`until_subscribed`](RevocationPushes::until_subscribed) waits.
    ///
    /// Several caches, and caches of other stores, can each have their subscription. It needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be read.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn subscribe<S: RevocationStore>(
        &self,
        server: impl IntoConnectionInfo,
        cache: &Arc<CachedRevocations<S>>,
    ) -> Result<RevocationPushes, StoreError> {
        let state = Arc::<State>::default();
        let (sender, subscribed) = watch::channel(false);
        let subscriber = Subscriber {
            client: Client::open(server).map_err(failed)?,
            channel: self.channel(),
            cache: Arc::clone(cache),
            state: Arc::clone(&state),
            subscribed: sender,
        };
        Ok(RevocationPushes {
            state,
            subscribed,
            task: tokio::spawn(subscriber.run()),
        })
    }
}

// === impl RevocationPushes ===

impl RevocationPushes {
    /// Whether revocations arrive as they are made, as far as is known.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        *self.subscribed.borrow()
    }

    /// Waits until it is subscribed: for those who want to start only then.
    pub async fn until_subscribed(&self) {
        // An error says that the task is gone, which only a drop of `self` does.
        let _ = self.subscribed.clone().wait_for(|is| *is).await;
    }

    /// How many revocations have arrived.
    #[must_use]
    pub fn learned(&self) -> u64 {
        self.state.learned.load(Ordering::Relaxed)
    }

    /// How many messages could not be read, such as those of a later version.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.state.unreadable.load(Ordering::Relaxed)
    }

    /// How many times the subscription was lost.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.state.losses.load(Ordering::Relaxed)
    }
}

impl Drop for RevocationPushes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RevocationPushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationPushes")
            .field("is_subscribed", &self.is_subscribed())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

// === impl Subscriber ===

impl<S: RevocationStore> Subscriber<S> {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            match timeout(CONNECT_TIMEOUT, self.open()).await {
                Ok(Ok((sink, stream))) => {
                    // What was revoked before this moment was told to nobody here.
                    self.cache.forget_negatives();
                    self.subscribed.send_replace(true);
                    select(pin!(self.listen(stream)), pin!(watch_over(sink))).await;
                    self.subscribed.send_replace(false);
                    self.cache.forget_negatives();
                    self.state.losses.fetch_add(1, Ordering::Relaxed);
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, "revocation pushes lost");
                    wait = FIRST_WAIT;
                }
                Ok(Err(_error)) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, error = %_error, "no revocation pushes");
                }
                Err(_) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, "no revocation pushes: timeout");
                }
            }
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn open(&self) -> redis::RedisResult<(PubSubSink, PubSubStream)> {
        let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
        sink.subscribe(&self.channel).await?;
        Ok((sink, stream))
    }

    /// Until the connection is closed.
    async fn listen(&self, mut stream: PubSubStream) {
        while let Some(pushed) = stream.next().await {
            let counter = match message::read(pushed.get_payload_bytes()) {
                Some(revocation) => {
                    self.cache.learn(&revocation);
                    &self.state.learned
                }
                None => &self.state.unreadable,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Until the server does not answer.
async fn watch_over(mut sink: PubSubSink) {
    loop {
        sleep(PING_EVERY).await;
        match timeout(PONG_WITHIN, sink.ping::<Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Between half of it and all of it, so that nodes do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + wait.mul_f64(f64::from(random) / f64::from(u32::MAX)) / 2
}
