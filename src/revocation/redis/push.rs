//! [`RevocationPushes`]: receives the revocations of other nodes as they are made.

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
use crate::revocation::{CachedRevocations, RevocationStore};
use crate::store::StoreError;
use crate::store::redis_connection::{CONNECT_TIMEOUT, expect_primary, failed};

/// The longest time until a lost subscription is noticed, if its server falls silent or becomes a
/// replica: 2 seconds. A closed connection is noticed at once.
pub const LOSS_DETECTION_TIME: Duration = Duration::from_secs(2);

/// How often the server is asked whether it is the primary, and how long its reply may take.
const ASKED_EVERY: Duration = Duration::from_secs(1);
const ANSWERED_WITHIN: Duration = Duration::from_millis(900);
/// The shortest and the longest wait before a new attempt to subscribe. The wait doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Adds the revocations of all nodes to a cache as they are made. Keep it: dropping it ends the
/// subscription, and other nodes' revocations then take effect within the cache period of the cache.
///
/// While subscribed, a revocation takes effect on every node a moment after it is made. In any case,
/// it takes effect within the cache period.
///
/// # When the subscription is lost
///
/// A closed connection is noticed at once. A server that falls silent or becomes a replica is
/// noticed within [`LOSS_DETECTION_TIME`]. From then on, the cached answers "not revoked" no longer
/// count, and the cache asks Redis again. It uses each new answer for the
/// [cache period](CachedRevocations::cache_for) at most, as without pushes. A new attempt to subscribe
/// follows within 100 ms, and then at growing intervals of up to 5 s. Each attempt resolves the server's host
/// name again. When the subscription is back, the answers from before it are dropped once more.
///
/// A replica passes on what its primary publishes, but only while it is connected to the primary.
/// So a subscription on a server that was demoted may silently stop working. It is therefore given
/// up.
///
/// # Security
///
/// A client that may publish on the channel can make nodes refuse valid tokens for as long as a push
/// is remembered ([`apply`](CachedRevocations::apply)). It cannot make revoked tokens valid. Limit
/// access with an ACL (`&jwt-auth:revocations`). Messages that cannot be read are
/// [counted](Self::unreadable) and ignored.
///
/// # Why publish and subscribe
///
/// The alternative is client-side caching with tracking. Redis would have to remember for each node
/// which of its keys were read, the node would need a tracked connection to each node of a cluster,
/// and it would only learn that a key has changed. A published message contains the revocation, and
/// one subscription to any node of a cluster receives them all. Redis sends neither kind of message
/// twice, so both need the rules above.
#[must_use = "dropping it ends the subscription"]
pub struct RevocationPushes {
    state: Arc<State>,
    subscribed: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    received: AtomicU64,
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
    /// Subscribes `cache` to the revocations of all nodes, over a separate connection to `server`:
    /// the same server, or any node of the cluster. It returns at once; use
    /// [`until_subscribed`](RevocationPushes::until_subscribed) to wait.
    ///
    /// Several caches, and caches of other stores, can each have a subscription. The connection
    /// uses RESP3.
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid.
    ///
    /// # Panics
    ///
    /// Panics if it is called outside a Tokio runtime.
    pub fn subscribe<S: RevocationStore>(
        &self,
        server: impl IntoConnectionInfo,
        cache: &Arc<CachedRevocations<S>>,
    ) -> Result<RevocationPushes, StoreError> {
        let state = Arc::<State>::default();
        let (sender, subscribed) = watch::channel(false);
        let server = server.into_connection_info().map_err(failed)?;
        // With the older protocol, a subscribed connection cannot query the server's role.
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
    /// Returns whether the subscription is active, as far as is known.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        *self.subscribed.borrow()
    }

    /// Waits until the subscription is active, for a service that should start only then.
    pub async fn until_subscribed(&self) {
        // An error means that the task is gone, which only dropping `self` causes.
        let _ = self.subscribed.clone().wait_for(|is| *is).await;
    }

    /// Returns the number of revocations that have arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Returns the number of messages that could not be read, such as those of a later version.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.state.unreadable.load(Ordering::Relaxed)
    }

    /// Returns the number of times that the subscription was lost.
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
                    // Revocations from before this moment were not received here.
                    self.cache.forget_negatives();
                    self.subscribed.send_replace(true);
                    select(pin!(is_closed.notified()), pin!(watch_over(connection))).await;
                    self.subscribed.send_replace(false);
                    self.cache.forget_negatives();
                    self.state.losses.fetch_add(1, Ordering::Relaxed);
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, "the subscription to revocations was lost");
                    wait = FIRST_WAIT;
                }
                Ok(Err(_error)) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, error = %_error, "could not subscribe to revocations");
                }
                Err(_) => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(channel = %self.channel, "could not subscribe to revocations: timeout");
                }
            }
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Connects to the primary and subscribes. `is_closed` is notified when the connection is closed.
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

    /// Returns the function that the driver calls with each push. It does not block.
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
                        cache.apply(&revocation);
                        &state.received
                    }
                    None => &state.unreadable,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    }
}

/// Returns when the server does not respond or is a replica.
async fn watch_over(mut connection: MultiplexedConnection) {
    loop {
        sleep(ASKED_EVERY).await;
        if expect_primary(&mut connection).await.is_err() {
            return;
        }
    }
}

/// Returns a random duration between half of `wait` and all of it, so that nodes do not reconnect
/// all at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + wait.mul_f64(f64::from(random) / f64::from(u32::MAX)) / 2
}
