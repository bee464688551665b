//! [`RedisReplays`]: used proofs in Redis, for any number of nodes.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::IntoConnectionInfo;
use redis::aio::ConnectionLike;

use super::store::{ReplayEntry, ReplayStore};
use crate::store::StoreError;
use crate::store::redis_connection::{self, RedisConnection, failed};

const DEFAULT_PREFIX: &str = "jwt-auth:";

/// Keeps used proofs in Redis 6.2 or later, or in a Redis cluster, for any number of nodes.
///
/// Each proof is one key, `<prefix>proof:<digest>`, which is set by one command (`SET` with `NX` and `PX`)
/// and expires by itself.
///
/// ```no_run
/// use tower_jwt_auth::dpop::{Dpop, RedisReplays};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let replays = RedisReplays::connect("redis://127.0.0.1/").await?;
/// let dpop = Dpop::builder("https://api.example", replays).build()?;
/// # let _ = dpop; Ok(()) }
/// ```
///
/// # What Redis can lose
///
/// Redis responds when the primary has the write in memory. After a restart without persistence, or if a
/// replica that lags is promoted, the proofs of the last moments can be used once more until they are too
/// old: for at most 90 seconds by default, or 330 seconds with nonces. Run Redis with
/// `maxmemory-policy noeviction`: any other policy may drop proofs.
#[derive(Clone)]
pub struct RedisReplays<C = RedisConnection> {
    connection: C,
    prefix: Arc<str>,
}

// === impl RedisReplays ===

impl RedisReplays {
    /// Connects to one server, by an address such as `redis://user:password@host:6379/0`. It
    /// reconnects when needed: see [`RedisConnection`].
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`RedisConnection::connect`].
    pub async fn connect(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        RedisConnection::connect(server).await.map(Self::new)
    }
}

#[cfg(feature = "redis-cluster")]
impl RedisReplays<redis::cluster_async::ClusterConnection> {
    /// Connects to a cluster, by the addresses of some of its nodes.
    ///
    /// # Errors
    ///
    /// Fails if an address is invalid, or if none of the nodes responds.
    pub async fn connect_cluster<T: IntoConnectionInfo>(
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<Self, StoreError> {
        redis_connection::connect_cluster(nodes)
            .await
            .map(Self::new)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisReplays<C> {
    /// Creates the store on a connection, such as a [`RedisConnection`] that you also use for other
    /// things. The connection should reconnect by itself, also when its server has become a replica.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: DEFAULT_PREFIX.into(),
        }
    }

    /// Sets the prefix of all keys: `jwt-auth:` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Writes a key that expires after a second, for a readiness check. In a cluster, this checks
    /// the primary of one slot.
    ///
    /// # Errors
    ///
    /// Fails if Redis does not respond, or if it cannot be written to because it is a replica, is
    /// full, or cannot write to its disk.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        redis_connection::check_writable(&mut connection, &self.prefix).await
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> ReplayStore for RedisReplays<C> {
    async fn insert(&self, entry: ReplayEntry) -> Result<bool, StoreError> {
        // A duration, so that the clock of the server does not matter.
        let kept = entry.until.saturating_sub(entry.now).div_ceil(1000).max(1);
        let digest = URL_SAFE_NO_PAD.encode(entry.digest);
        let mut connection = self.connection.clone();
        let set: Option<String> = redis::cmd("SET")
            .arg(format!("{}proof:{digest}", self.prefix))
            .arg("1")
            .arg("NX")
            .arg("PX")
            .arg(kept)
            .query_async(&mut connection)
            .await
            .map_err(failed)?;
        Ok(set.is_some())
    }
}

impl<C> fmt::Debug for RedisReplays<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplays")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
