//! [`RedisConnection`]: a connection that reconnects to the current primary after a failover.

mod health;

pub(crate) use health::expect_primary;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::health::{Health, is_replica};
use super::StoreError;
use crate::sync::timeout;

/// The default time limit for connecting.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The default time limit for one reply.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// The shortest time between two attempts to connect, so that an outage causes no flood of them.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a connection that is in use asks the server whether it is the primary.
const ROLE_ASKED_EVERY: Duration = Duration::from_millis(250);
/// How long the key of [`check_writable`] is kept.
const PROBE_KEPT_MILLIS: u32 = 1000;

/// A connection to one Redis server that reconnects when needed. Clones share the connection.
///
/// [`RedisSessions::connect`](crate::sessions::RedisSessions::connect),
/// [`RedisRevocations::connect`](crate::revocation::RedisRevocations::connect) and
/// [`RedisReplays::connect`](crate::dpop::RedisReplays::connect) use it. It is public so that an
/// application can share one connection between stores, or use it for its own commands.
///
/// # Failover
///
/// The next request resolves the server's host name again and reconnects if
///
/// - the last reply did not arrive, because the connection was closed or the server was silent for
///   500 ms;
/// - the last reply was `READONLY`, `LOADING`, `MASTERDOWN`, `MISCONF` or `NOREPLICAS`: the server
///   cannot be written to, and another one may have taken its place;
/// - the server has become a replica. A connection in use asks for the server's role (`HELLO`) four
///   times a second. If it is a replica, requests that only read fail as well.
///
/// So after a failover, requests fail until the host name points to the new primary, and the process
/// need not be restarted. If the server is a replica from the start, connecting fails. An old primary
/// that is cut off from the others, and does not know yet that it was replaced, looks like a primary:
/// `min-replicas-to-write` limits what can be written to it.
///
/// # Time limits
///
/// Connecting may take 1 s, and a reply 500 ms, unless [`connect_with_timeouts`](Self::connect_with_timeouts)
/// sets other limits. A request waits for at most one attempt to connect, which it shares with all other
/// requests. There are at most ten attempts a second. A pause of the whole process, as in a container that is
/// out of processor time, uses up no more than half of a limit.
///
/// # Permissions
///
/// A Redis user for all of these stores needs only these permissions (`ACL SETUSER`). If you set another
/// prefix, put it in place of `jwt-auth:`.
///
/// ```text
/// ~jwt-auth:* resetchannels &jwt-auth:revocations -@all
/// +@read +@write +@scripting +@transaction +@pubsub +time
/// ```
#[derive(Clone)]
pub struct RedisConnection {
    shared: Arc<Inner>,
}

struct Inner {
    server: Server,
    link: ArcSwap<Link>,
}

/// The server to connect to, and the time limits.
#[derive(Clone)]
struct Server {
    client: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// One connection, from the attempt to make it until it is replaced.
struct Link {
    begun: Instant,
    connection: Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
    /// The worst [`Health`] that a reply has shown.
    health: AtomicU8,
    /// When the server was last asked for its role, in milliseconds since `begun`.
    asked_at: AtomicU64,
}

/// A connection for one request.
struct Ready {
    link: Arc<Link>,
    connection: MultiplexedConnection,
    /// The query for the server's role, if it is due. It is a task, so that it completes even if the
    /// request is dropped.
    role: Option<JoinHandle<RedisResult<()>>>,
}

// === impl RedisConnection ===

impl RedisConnection {
    /// Connects to a server, by an address such as `redis://user:password@host:6379/0`. For TLS
    /// (`rediss://`), add `redis` to your dependencies with one of its TLS features.
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid, if the server does not respond in time, or if it is a
    /// replica.
    pub async fn connect(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        Self::connect_with_timeouts(server, CONNECT_TIMEOUT, ANSWER_TIMEOUT).await
    }

    /// Connects with other time limits: for connecting, now and later, and for each reply. A request
    /// takes at most the sum of both, which should be less than the
    /// [timeout of the sessions](crate::sessions::SessionsBuilder::store_timeout).
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`connect`](Self::connect).
    pub async fn connect_with_timeouts(
        server: impl IntoConnectionInfo,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let server = Server {
            client: Client::open(server).map_err(failed)?,
            connect_timeout,
            response_timeout,
        };
        let link = Link::new(server.clone());
        link.connection.clone().await.map_err(failed)?;
        Ok(Self {
            shared: Arc::new(Inner {
                server,
                link: ArcSwap::from_pointee(link),
            }),
        })
    }

    /// Waits for the current connection, or for a new one if the current one is spent.
    async fn ready(&self) -> RedisResult<Ready> {
        let link = self.link();
        let connection = link.connection.clone().await?;
        if link.is(Health::Replica) {
            return Err(is_replica());
        }
        let role = link.ask_role(&connection, self.shared.server.response_timeout);
        Ok(Ready {
            link,
            connection,
            role,
        })
    }

    fn link(&self) -> Arc<Link> {
        let current = self.shared.link.load_full();
        if !current.is_spent() {
            return current;
        }
        let next = Arc::new(Link::new(self.shared.server.clone()));
        let before = self
            .shared
            .link
            .compare_and_swap(&current, Arc::clone(&next));
        if !Arc::ptr_eq(&before, &current) {
            // Another request has already replaced it.
            return Guard::into_inner(before);
        }
        // A dropped request must not stop the attempt, because others wait for it.
        tokio::spawn(next.connection.clone().map(drop));
        next
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut ready = self.ready().await?;
            let answer = ready.connection.req_packed_command(command);
            let answer = in_time(self.shared.server.response_timeout, answer).await;
            ready.judge(answer, std::slice::from_ref).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut ready = self.ready().await?;
            let connection = &mut ready.connection;
            let answer = connection.req_packed_commands(pipeline, offset, count);
            let answer = in_time(self.shared.server.response_timeout, answer).await;
            ready.judge(answer, Vec::as_slice).await
        })
    }

    fn get_db(&self) -> i64 {
        self.shared
            .server
            .client
            .get_connection_info()
            .redis_settings()
            .db()
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.shared.server.client.get_connection_info().addr();
        f.debug_struct("RedisConnection")
            .field("server", &format_args!("{server}"))
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // The callers limit the time.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        expect_primary(&mut connection).await?;
        Ok(connection)
    }
}

// === impl Link ===

impl Link {
    /// Creates a link that begins to connect when it is first awaited.
    fn new(server: Server) -> Self {
        let connection = async move { in_time(server.connect_timeout, server.connect()).await };
        Self {
            begun: Instant::now(),
            connection: connection.boxed().shared(),
            health: AtomicU8::new(Health::Good as u8),
            asked_at: AtomicU64::new(0),
        }
    }

    /// Returns whether the link should be replaced now.
    fn is_spent(&self) -> bool {
        let is_over = self.is(Health::Over) || self.connection.peek().is_some_and(Result::is_err);
        is_over && self.begun.elapsed() >= PAUSE
    }

    /// Returns whether the health of the link is this or worse.
    fn is(&self, health: Health) -> bool {
        self.health.load(Ordering::Relaxed) >= health as u8
    }

    fn note(&self, health: Health) {
        self.health.fetch_max(health as u8, Ordering::Relaxed);
    }

    /// Queries the server's role, unless that was done a moment ago.
    fn ask_role(
        self: &Arc<Self>,
        connection: &MultiplexedConnection,
        limit: Duration,
    ) -> Option<JoinHandle<RedisResult<()>>> {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        let is_due = u128::from(now.saturating_sub(asked_at)) >= ROLE_ASKED_EVERY.as_millis()
            && self
                .asked_at
                .compare_exchange(asked_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        let (link, mut connection) = (Arc::clone(self), connection.clone());
        is_due.then(|| {
            tokio::spawn(async move {
                let answer = in_time(limit, expect_primary(&mut connection)).await;
                if let Err(error) = &answer {
                    link.note(Health::of(error).max(Health::Over));
                }
                answer
            })
        })
    }
}

// === impl Ready ===

impl Ready {
    /// Notes if a reply shows that the next request should reconnect, and rejects replies of a
    /// replica.
    async fn judge<T>(
        self,
        answer: RedisResult<T>,
        values: impl FnOnce(&T) -> &[Value],
    ) -> RedisResult<T> {
        self.link.note(match &answer {
            Ok(answer) => Health::told_by(values(answer)),
            Err(error) => Health::of(error),
        });
        match (answer, self.role) {
            (Ok(answer), Some(role)) => match role.await {
                Ok(is_primary) => is_primary.map(|()| answer),
                Err(_) => Err(io::Error::other("the runtime is shutting down").into()),
            },
            (answer, _) => answer,
        }
    }
}

/// Waits for a reply or a connection, and fails with the error of a silent server after `limit`.
async fn in_time<T>(limit: Duration, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    timeout(limit, call).await.unwrap_or_else(late)
}

/// Writes a key that expires after a second.
pub(crate) async fn check_writable(
    connection: &mut impl ConnectionLike,
    prefix: &str,
) -> Result<(), StoreError> {
    redis::cmd("SET")
        .arg(format!("{prefix}writable"))
        .arg(1)
        .arg("PX")
        .arg(PROBE_KEPT_MILLIS)
        .query_async(connection)
        .await
        .map_err(failed)
}

/// Connections to all nodes of a cluster.
#[cfg(feature = "redis-cluster")]
pub(crate) async fn connect_cluster<T: IntoConnectionInfo>(
    nodes: impl IntoIterator<Item = T>,
) -> Result<redis::cluster_async::ClusterConnection, StoreError> {
    redis::cluster::ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(ANSWER_TIMEOUT)
        .retries(2)
        .build()
        .map_err(failed)?
        .get_async_connection()
        .await
        .map_err(failed)
}

pub(crate) fn failed(error: RedisError) -> StoreError {
    StoreError::new(error)
}
