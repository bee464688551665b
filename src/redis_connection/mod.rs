//! [`RedisConnection`]: a connection that follows the name of a server to the current primary.

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
use tokio::time::{Instant, timeout};

use self::health::{Health, is_replica};
use crate::store::StoreError;

/// How long a connection may take to be made, unless it is set.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one answer may take, unless it is set.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// The shortest time between two attempts to connect, so that an outage is no flood of them.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a connection that is in use asks the server whether it is the primary.
const ROLE_ASKED_EVERY: Duration = Duration::from_millis(250);
/// For how long the key of [`check_writable`] is kept.
const PROBE_KEPT_MILLIS: u32 = 1000;

/// A connection to one Redis server, shared by its clones, that is made anew when it is needed.
///
/// [`RedisSessions::connect`](crate::sessions::RedisSessions::connect) and
/// [`RedisRevocations::connect`](crate::revocation::RedisRevocations::connect) use it. It is public
/// so that an application can share one, or use it for its own commands.
///
/// # Failover
///
/// The next request resolves the server's name again and connects anew, where the last answer
///
/// - did not come, because the connection was closed or the server was silent for 500 ms;
/// - was `READONLY`, `LOADING`, `MASTERDOWN`, `MISCONF` or `NOREPLICAS`: the server cannot be
///   written to, and another one may have taken its place;
/// - came from a server that has become a replica. A connection in use asks for the server's role
///   (`HELLO`) four times a second, and with it a request that only reads fails as well.
///
/// So after a failover a request fails at most until the name points to the new primary, and the
/// process need not be restarted. A server behind a name that is a replica from the start is
/// refused. An old primary that is cut off from the others, and does not know yet that it was
/// replaced, looks like a primary: `min-replicas-to-write` limits what is written to it.
///
/// # Time limits
///
/// A connection may take 1 s, and an answer 500 ms, unless [`connect_within`](Self::connect_within)
/// sets other limits. A request waits for one attempt to connect at most, which it shares with all
/// others; there are at most ten attempts a second.
#[derive(Clone)]
pub struct RedisConnection {
    shared: Arc<Inner>,
}

struct Inner {
    server: Server,
    link: ArcSwap<Link>,
}

/// Where to connect to, and how long that may take.
#[derive(Clone)]
struct Server {
    client: Client,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

/// One connection, from the attempt to make it until it is replaced.
struct Link {
    begun: Instant,
    connection: Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
    /// The worst [`Health`] that an answer has told.
    health: AtomicU8,
    /// When the server was last asked for its role, in milliseconds since `begun`.
    asked_at: AtomicU64,
}

/// A connection for one request.
struct Ready {
    link: Arc<Link>,
    connection: MultiplexedConnection,
    /// The question for the server's role, if it is due. It is a task, so that it comes to an end
    /// when the request does not.
    role: Option<JoinHandle<RedisResult<()>>>,
}

// === impl RedisConnection ===

impl RedisConnection {
    /// Connects to a server, by an address such as `redis://user:password@host:6379/0`. For
    /// `rediss://`, depend on `redis` with one of its features for TLS.
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid, if the server does not answer in time, or if it is a replica.
    pub async fn connect(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        Self::connect_within(server, CONNECT_TIMEOUT, ANSWER_TIMEOUT).await
    }

    /// Connects with other time limits: how long it may take to connect, now and later, and how long
    /// an answer may take. A request takes both at most, and should fit into the
    /// [timeout of the sessions](crate::sessions::SessionsBuilder::store_timeout).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_within(
        server: impl IntoConnectionInfo,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let server = Server {
            client: Client::open(server).map_err(failed)?,
            connect_timeout,
            answer_timeout,
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

    /// Waits for the connection of the moment, which is a new one where the last is spent.
    async fn ready(&self) -> RedisResult<Ready> {
        let link = self.link();
        let connection = link.connection.clone().await?;
        if link.is(Health::Replica) {
            return Err(is_replica());
        }
        let role = link.ask_role(&connection);
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
            // Another request was quicker.
            return Guard::into_inner(before);
        }
        // A request that gives up must not stop the attempt, which others wait for.
        tokio::spawn(next.connection.clone().map(drop));
        next
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut ready = self.ready().await?;
            let answer = ready.connection.req_packed_command(command).await;
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
            let answer = connection
                .req_packed_commands(pipeline, offset, count)
                .await;
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
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.answer_timeout));
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
    /// A link that begins to connect when it is first waited for.
    fn new(server: Server) -> Self {
        let connection = async move {
            match timeout(server.connect_timeout, server.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        };
        Self {
            begun: Instant::now(),
            connection: connection.boxed().shared(),
            health: AtomicU8::new(Health::Good as u8),
            asked_at: AtomicU64::new(0),
        }
    }

    /// Whether it is to be replaced now.
    fn is_spent(&self) -> bool {
        let is_over = self.is(Health::Over) || self.connection.peek().is_some_and(Result::is_err);
        is_over && self.begun.elapsed() >= PAUSE
    }

    /// Whether it is that, or worse.
    fn is(&self, health: Health) -> bool {
        self.health.load(Ordering::Relaxed) >= health as u8
    }

    fn note(&self, health: Health) {
        self.health.fetch_max(health as u8, Ordering::Relaxed);
    }

    /// Asks for the server's role, unless that was done a moment ago.
    fn ask_role(
        self: &Arc<Self>,
        connection: &MultiplexedConnection,
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
                let answer = expect_primary(&mut connection).await;
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
    /// Notes where an answer says that the next request should connect anew, and takes no answer
    /// of a replica.
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

/// Writes a key that is gone a second later.
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
