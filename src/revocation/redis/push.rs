//! [`RevocationPushes`]: what other nodes revoke, as soon as they do.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Msg, ProtocolVersion, PushInfo, PushKind,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{RedisRevocations, message};
use crate::redis_connection::{CONNECT_TIMEOUT, expect_primary, failed};
use crate::revocation::{CachedRevocations, RevocationStore};
use crate::store::StoreError;

/// The longest that it takes until a lost subscription is noticed: one whose server has fallen silent
/// or has become a replica. One whose connection was closed is noticed at once.
pub const LOSS_NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// How often the server is asked whether it is there and is the primary, and how long it may take.
const ASKED_EVERY: Duration = Duration::from_secs(1);
const ANSWERED_WITHIN: Duration = Duration::from_millis(900);
/// The wait before a subscription is tried again doubles between these.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Feeds what any node revokes into a cache, for as long as it is kept. Dropping it ends the
/// subscription, and the lag of the cache is what remains.
///
/// # When the subscription is lost
///
/// That is noticed at once where the connection is closed, and within [`LOSS_NOTICED_WITHIN`] where
/// the server falls silent or has become a replica. From then on "not revoked" from before does not
/// count, and the cache asks Redis; each answer is believed for the [lag](CachedRevocations::lag) at
/// most, as without pushes. The subscription is tried again after 100 ms, and then at growing
/// intervals up to 5 s, each time by the server's name. When it is back, answers from before are
/// forgotten once more.
///
/// A replica passes on what its primary publishes, but only while it is linked to it. So a
/// subscription that is left on a demoted server works until it silently does not, and is given up.
///
/// A revocation is known everywhere at once while subscribed, and within the lag in any case.
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
    /// Several caches, and caches of other stores, can each have their subscription. It needs a Tokio
    /// runtime, and speaks RESP3.
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid.
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
        let server = server.into_connection_info().map_err(failed)?;
        // With the older protocol a connection that is subscribed cannot ask for the server's role.
        let settings = server.redis_settings().clone();
        let server = server.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
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
            let is_closed = Arc::<Notify>::default();
            match timeout(CONNECT_TIMEOUT, self.open(&is_closed)).await {
                Ok(Ok(connection)) => {
                    // What was revoked before this moment was told to nobody here.
                    self.cache.forget_negatives();
                    self.subscribed.send_replace(true);
                    select(pin!(is_closed.notified()), pin!(watch_over(connection))).await;
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

    /// Connects to the primary, and subscribes. `is_closed` is told when the connection is closed.
    async fn open(&self, is_closed: &Arc<Notify>) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWERED_WITHIN))
            .set_push_sender(self.receiver(Arc::clone(is_closed)));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(&self.channel).await?;
        expect_primary(&mut connection).await?;
        Ok(connection)
    }

    /// What the driver calls with each push. It does not block.
    fn receiver(
        &self,
        is_closed: Arc<Notify>,
    ) -> impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + 'static {
        let (cache, state) = (Arc::clone(&self.cache), Arc::clone(&self.state));
        move |push| {
            if push.kind == PushKind::Disconnection {
                is_closed.notify_one();
            } else if let Some(message) = Msg::from_push_info(push) {
                let counter = match message::read(message.get_payload_bytes()) {
                    Some(revocation) => {
                        cache.learn(&revocation);
                        &state.learned
                    }
                    None => &state.unreadable,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    }
}

/// Until the server does not answer, or is a replica.
async fn watch_over(mut connection: MultiplexedConnection) {
    loop {
        sleep(ASKED_EVERY).await;
        if expect_primary(&mut connection).await.is_err() {
            return;
        }
    }
}

/// Between half of it and all of it, so that nodes do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + wait.mul_f64(f64::from(random) / f64::from(u32::MAX)) / 2
}
