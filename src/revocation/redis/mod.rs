//! [`RedisRevocations`]: revocations in Redis, for any number of nodes, and pushed to each of them.

mod message;
#[cfg(feature = "cache")]
mod push;

#[cfg(feature = "cache")]
pub use self::push::{LOSS_DETECTION_TIME, RevocationPushes};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::ConnectionLike;
use redis::{IntoConnectionInfo, Script};

use super::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};
use crate::clock::{Clock, SystemClock};
use crate::store::StoreError;
use crate::store::redis_connection::{self, RedisConnection, failed};

/// The default prefix of the keys.
const DEFAULT_PREFIX: &str = "jwt-auth:";
/// How long an entry is kept after its end: longer than clocks differ.
const KEPT_AFTER_END: Duration = Duration::from_secs(600);
/// The longest time that an entry is kept, in milliseconds: Redis accepts no longer one.
const MAX_KEPT_MILLIS: u64 = 1 << 53;
/// The number of revocations of one call that are sent at the same time.
const AT_ONCE: usize = 128;

/// Keeps revocations in Redis 6.2 or later, or in a Redis cluster.
///
/// Put [`CachedRevocations`](super::CachedRevocations) in front of it, and
/// [`subscribe`](Self::subscribe). A node then asks Redis about a token once per cache period, and still
/// refuses a token at once when another node revokes it.
///
/// ```no_run
/// # #[cfg(feature = "cache")] mod example {
/// use std::sync::Arc;
/// use tower_jwt_auth::revocation::{CachedRevocations, RedisRevocations};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let server = "redis://127.0.0.1/";
/// let store = RedisRevocations::connect(server).await?;
/// let revocations = Arc::new(CachedRevocations::new(store));
/// let pushes = revocations.store().subscribe(server, &revocations)?; // keep it
/// # let _ = pushes; Ok(()) } }
/// ```
///
/// # Keys
///
/// There is one key for each revocation: the prefix, `t:`, `s:` or `u:` for token, session or
/// subject, then the issuer and the id. Its value is the cut-off, up to which tokens are refused. It
/// expires by itself ten minutes after the last token that it can cover, so that clocks may differ.
/// [`check_writable`](Self::check_writable) writes `<prefix>writable`.
///
/// A look-up is one `MGET` of up to three keys, in one round trip. In a cluster the three keys are
/// in different slots, and the driver asks their nodes at the same time. A hash tag per issuer would
/// put them on one node, but most services have one issuer, and that node would have all the load.
///
/// A revocation is one script, which keeps the later cut-off and publishes the revocation. The node
/// that has written publishes it, so a published revocation is always in the store. Several
/// revocations in one call are sent 128 at a time.
///
/// # What Redis can lose
///
/// When a call that revokes returns, the revocation is in the memory of the primary. It is lost in a
/// restart without persistence, or if a replica that lags is promoted. A revoked token is then valid
/// again until it expires. The operator can prevent that with `appendfsync always`, or with `WAIT`
/// and `min-replicas-to-write`. Short-lived access tokens limit what a loss can cost. Run Redis with
/// `maxmemory-policy noeviction`: any other policy may drop revocations.
///
/// Reads must go to primaries: do not pass a connection that reads from replicas. After a failover
/// [`RedisConnection`] finds the new primary, and replies of a server that has become a replica are
/// used for a quarter of a second at most. With [`new`](Self::new) that is up to the connection that
/// you pass.
#[derive(Clone)]
pub struct RedisRevocations<C = RedisConnection> {
    connection: C,
    prefix: Arc<str>,
    script: Arc<Script>,
    clock: Arc<dyn Clock>,
}

// === impl RedisRevocations ===

impl RedisRevocations {
    /// Connects to one server, by an address such as `redis://user:password@host:6379/0`. The store
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
impl RedisRevocations<redis::cluster_async::ClusterConnection> {
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

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisRevocations<C> {
    /// Creates the store on a connection, such as a [`RedisConnection`] that you also use for other
    /// things. The connection should reconnect by itself, also when its server has become a replica.
    /// It should have a response timeout, and read from primaries only.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: DEFAULT_PREFIX.into(),
            script: Arc::new(Script::new(include_str!("revoke.lua"))),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the prefix of all keys and of the channel: `jwt-auth:` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the clock that determines how long an entry is kept.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
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

    async fn record(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(jti) => ('t', jti, u64::MAX),
            RevocationTarget::Session(sid) => ('s', sid, u64::MAX),
            RevocationTarget::Subject { subject, cutoff } => ('u', subject, *cutoff),
        };
        // A duration from now, so that the clock of the server does not matter.
        let left = revocation.until().duration_since(self.clock.now());
        let kept = (left.unwrap_or_default().saturating_add(KEPT_AFTER_END)).as_millis();
        let message =
            message::write(revocation).map_err(|error| StoreError::new(Box::new(error)))?;
        let mut connection = self.connection.clone();
        self.script
            .key(self.key(kind, revocation.issuer(), id))
            .arg(cutoff)
            .arg(u64::try_from(kept).unwrap_or(u64::MAX).min(MAX_KEPT_MILLIS))
            .arg(self.channel())
            .arg(message)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)
    }

    /// An issuer may contain any character, so its length marks where it ends.
    fn key(&self, kind: char, issuer: Option<&str>, id: &str) -> String {
        let prefix = &self.prefix;
        match issuer {
            Some(issuer) => format!("{prefix}{kind}:{}:{issuer}:{id}", issuer.len()),
            None => format!("{prefix}{kind}:-:{id}"),
        }
    }

    fn channel(&self) -> String {
        format!("{}revocations", self.prefix)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RevocationStore for RedisRevocations<C> {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let writes: Vec<_> = revocations.iter().map(|one| self.record(one)).collect();
        stream::iter(writes)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        let issuer = query.issuer();
        let mut ask = redis::cmd("MGET");
        ask.arg(self.key('u', issuer, query.subject()));
        ask.arg(self.key('t', issuer, query.token()));
        if let Some(session) = query.session() {
            ask.arg(self.key('s', issuer, session));
        }
        let mut connection = self.connection.clone();
        let found: Vec<Option<String>> = ask.query_async(&mut connection).await.map_err(failed)?;
        match found.as_slice() {
            [None, rest @ ..] => Ok(rest.iter().any(Option::is_some)),
            [Some(cutoff), rest @ ..] => {
                let cutoff: u64 = cutoff
                    .parse()
                    .map_err(|_| StoreError::new("a cut-off in Redis is not a number"))?;
                Ok(query.issued_at() <= cutoff || rest.iter().any(Option::is_some))
            }
            [] => Err(StoreError::new("Redis replied to `MGET` without a value")),
        }
    }
}

impl<C> fmt::Debug for RedisRevocations<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
