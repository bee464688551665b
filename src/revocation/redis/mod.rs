//! [`RedisRevocations`]: revocations in Redis, for any number of nodes, and told to each of them.

mod message;
#[cfg(feature = "cache")]
mod push;

#[cfg(feature = "cache")]
pub use self::push::{LOSS_NOTICED_WITHIN, RevocationPushes};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{IntoConnectionInfo, Script};

use super::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};
use crate::clock::{Clock, SystemClock};
use crate::redis_connection::{self, failed};
use crate::store::StoreError;

/// What the keys begin with, unless it is set.
const DEFAULT_PREFIX: &str = "jwt-auth:";
/// For how long an entry is kept after its time: longer than clocks differ.
const KEPT_AFTER_END: Duration = Duration::from_secs(600);
/// The longest time that anything is kept, in milliseconds: more is more than Redis takes.
const MAX_KEPT_MILLIS: u64 = 1 << 53;

/// Revocations in Redis 6.2 or later, or in a Redis cluster.
///
/// Put [`CachedRevocations`](super::CachedRevocations) in front of it, and
/// [`subscribe`](Self::subscribe): then a node asks Redis once per token and lag, and still
/// refuses at once what another node revokes.
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
/// # What it keeps
///
/// One key per revocation, `<prefix>t:`, `s:` or `u:` for token, session and subject, then the issuer
/// and the id. Its value is the cut-off, up to which tokens are refused. It expires by
/// itself ten minutes after the last token that it can hit, so that clocks may differ.
///
/// A question is one `MGET` of up to three keys: one round trip. In a cluster the three are in slots
/// of their own, and the driver asks the nodes at the same time. A hash tag per issuer would
/// make it one node, but as most services have one issuer, that node would have all the load.
///
/// A revocation is one script: it keeps the later cut-off, and publishes. The channel is told
/// by the node that has written, so what is told is in the store.
///
/// # What Redis can lose
///
/// A revocation that has returned is in the memory of the primary. Without persistence a
/// restart forgets it, and a revoked token is good again until it expires; so does the
/// promotion of a replica that lags. `appendfsync always`, or `WAIT` and
/// `min-replicas-to-write`, are the operator's choice; short-lived access tokens limit what
/// any loss can cost. Run Redis with `maxmemory-policy noeviction`: any other may drop revocations.
///
/// Reads must go to primaries: do not hand in a connection that reads from replicas.
#[derive(Clone)]
pub struct RedisRevocations<C = ConnectionManager> {
    connection: C,
    prefix: Arc<str>,
    script: Arc<Script>,
    clock: Arc<dyn Clock>,
}

// === impl RedisRevocations ===

impl RedisRevocations {
    /// Connects to one server, by an address such as `redis://user:password@host:6379/0`. The connection is made
    /// anew when it breaks. For `rediss://`, depend on `redis` with one of its features for TLS.
    ///
    /// # Errors
    ///
    /// The address cannot be read, or the server does not answer within 1 s.
    pub async fn connect(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        redis_connection::connect(server).await.map(Self::new)
    }
}

#[cfg(feature = "redis-cluster")]
impl RedisRevocations<redis::cluster_async::ClusterConnection> {
    /// Connects to a cluster, by the addresses of some of its nodes.
    ///
    /// # Errors
    ///
    /// An address cannot be read, or none of the nodes answers.
    pub async fn connect_cluster<T: IntoConnectionInfo>(
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<Self, StoreError> {
        redis_connection::connect_cluster(nodes)
            .await
            .map(Self::new)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisRevocations<C> {
    /// Revocations behind this connection. It should reconnect by itself, give up on an
    /// answer after a while, and read from primaries only.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: DEFAULT_PREFIX.into(),
            script: Arc::new(Script::new(include_str!("revoke.lua"))),
            clock: Arc::new(SystemClock),
        }
    }

    /// What all keys and the channel begin with; `jwt-auth:` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The clock that tells for how long an entry is kept.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// An issuer may use any id, so its length tells where it ends.
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
    async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(jti) => ('t', jti, u64::MAX),
            RevocationTarget::Session(sid) => ('s', sid, u64::MAX),
            RevocationTarget::Subject { subject, cutoff } => ('u', subject, *cutoff),
        };
        // Reckoned from now, so that the clock of the server does not matter.
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
            [] => Err(StoreError::new("Redis answers without a value")),
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
