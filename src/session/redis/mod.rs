//! [`RedisSessions`]: sessions in Redis, for any number of nodes.

mod clean_up;
mod end;
mod index;
mod limit;
mod row;
mod scripts;

use std::fmt;
use std::sync::Arc;

use redis::IntoConnectionInfo;
use redis::aio::ConnectionLike;

use self::index::Before;
use self::row::{Row, from_row, to_row};
use self::scripts::Scripts;
use super::record::{EndedSession, SessionRecord};
use super::rotation::{Rotation, RotationOutcome};
use super::store::{CreateOutcome, EndSessions, SessionLimit, SessionStore, SessionTarget};
use crate::store::StoreError;
use crate::store::redis_connection::{self, RedisConnection, failed};

/// The default prefix of the keys.
const DEFAULT_PREFIX: &str = "jwt-auth:";
/// How long a session is kept after its expiry, so that the error about its refresh token is
/// "expired" and not "unknown".
const KEPT_AFTER_END_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Keeps sessions in Redis 6.2 or later, or in a Redis cluster.
///
/// ```no_run
/// use tower_jwt_auth::sessions::RedisSessions;
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = RedisSessions::connect("redis://127.0.0.1/").await?;
/// # let _ = sessions; Ok(()) }
/// ```
///
/// # Keys
///
/// | key | what it contains |
/// |---|---|
/// | `<prefix>{<session>}:s` | a hash: the session. It expires a day after the session's absolute expiry |
/// | `<prefix>{u:<subject>}:u` | a sorted set: the subject's sessions that have not ended, in the order in which they were opened or last seen in use |
/// | `<prefix>{u:<subject>}:e` | a sorted set: the subject's sessions that were ended in the last day, so that a repeated [`end`](SessionStore::end) returns them again |
/// | `<prefix>{d:0}:d` to `{d:15}:d` | sorted sets: the second in which to check whether a session can be removed |
/// | `<prefix>writable` | the value that [`check_writable`](Self::check_writable) writes. It expires after a second |
///
/// A session is one key, so [`rotate`](SessionStore::rotate) is one atomic script in one slot, and
/// one round trip. The sorted sets are indexes in slots of their own. They are written after the
/// session and before its token is issued, and again when a token of a later generation is first
/// seen in use. Each read of an index looks at the sessions themselves, and drops entries whose
/// session is gone.
///
/// # Subjects with many sessions
///
/// [`list`](SessionStore::list) reads the last 2000 entries of the subject's index, looks at these
/// sessions, and returns the 1000 most recently used live ones. As long as a subject has at most
/// 2000 sessions that have not ended, idle ones included, the list is exact. Beyond that, it covers
/// the sessions that were most recently opened or first seen in use after a refresh. A client that
/// refreshes but never uses its access token here does not move up.
///
/// [`end`](SessionStore::end) reaches all sessions of a subject, 500 at a time, and so does a
/// [limit](SessionLimit).
///
/// # Concurrency
///
/// - A [limit](SessionLimit) also holds for logins at the same time. Each login counts those that
///   entered the index before it. When the last one has returned, no more sessions are live than
///   the limit allows. A login that turns out to be one too many is withdrawn before its token is
///   issued. There is one exception: if a subject has more than 500 sessions, one of them that is
///   seen in use at that moment may not be counted.
/// - A login at the same time as [`SessionTarget::Subject`] comes before or after it. One that
///   comes after it stays.
/// - A login whose connection breaks may leave a session for which nobody has a token. It is
///   listed, and counts towards a limit, until it is idle for too long or is ended.
///
/// # What Redis can lose
///
/// Redis responds when the primary has the write in memory. The operator chooses whether it is also
/// on disk (`appendfsync`) or on a replica (`WAIT`, `min-replicas-to-write`) by then. That choice
/// decides what a crash or a failover costs:
///
/// - *A restart without persistence:* all sessions are gone, and every user has to log in again.
/// - *AOF with `everysec`, or the promotion of a replica that lags:* the last second or so is lost.
///   - A new session is unknown.
///   - A session that rotated is one generation behind its token. That token is accepted and the
///     loss is [reported](crate::sessions::RotationOutcome::Rotated). If the session is two
///     generations behind or more, the token is refused without ending the session.
///   - A session that was ended is live again, and a stolen token of it would work again. If the
///     issuer has a [revocation store](crate::issuer::TokenIssuerBuilder::revocation) that still has
///     the entry, the token is refused nevertheless, and the session is ended again.
///   - A session whose entry in the subject's index is lost is not listed, does not count towards a
///     limit, and is not found by [`SessionTarget::Subject`] or [`SessionTarget::OthersOf`].
///     [`Sessions::end_all`](crate::Sessions::end_all) also records in the revocation store that
///     all tokens of the subject are revoked. Each refresh checks that, so the refresh token is
///     refused. [`Sessions::end_others`](crate::Sessions::end_others) records no such entry, and
///     misses the session. The session is found again once a token of a later generation is seen in
///     use.
///
///   If that matters to you, use `appendfsync always`, or `WAIT`.
/// - *Eviction:* run Redis with `maxmemory-policy noeviction`. Any other policy may drop sessions.
///
/// Reads must go to primaries: do not pass a connection that reads from replicas. After a failover
/// [`RedisConnection`] finds the new primary. With [`new`](Self::new) that is up to the connection
/// that you pass.
#[derive(Clone)]
pub struct RedisSessions<C = RedisConnection> {
    connection: C,
    prefix: Arc<str>,
    scripts: Arc<Scripts>,
}

// === impl RedisSessions ===

impl RedisSessions {
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
impl RedisSessions<redis::cluster_async::ClusterConnection> {
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

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Creates the store on a connection, such as a [`RedisConnection`] that you also use for other
    /// things. The connection should reconnect by itself, also when its server has become a replica.
    /// It should have a response timeout, and read from primaries only.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: DEFAULT_PREFIX.into(),
            scripts: Arc::default(),
        }
    }

    /// Sets the prefix of all keys: `jwt-auth:` by default. In a cluster, a prefix that contains a
    /// hash tag puts all keys into one slot.
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

    fn session_key(&self, session: &str) -> String {
        format!("{}{{{session}}}:s", self.prefix)
    }

    async fn fetch(&self, session: &str) -> Result<Option<SessionRecord>, StoreError> {
        let mut connection = self.connection.clone();
        let row: Row = redis::cmd("HGETALL")
            .arg(self.session_key(session))
            .query_async(&mut connection)
            .await
            .map_err(failed)?;
        from_row(session, row)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> SessionStore for RedisSessions<C> {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let key = self.session_key(&session.id);
        // A duration, so that the clock of the server does not matter.
        let life = session.expires_at.saturating_sub(session.created_at) / 1000;
        let kept = life + KEPT_AFTER_END_MILLIS;
        let mut connection = self.connection.clone();
        let written: Result<(), _> = redis::pipe()
            .atomic()
            .del(&key)
            .hset_multiple(&key, &to_row(session))
            .cmd("PEXPIRE")
            .arg(&key)
            .arg(kept)
            .query_async(&mut connection)
            .await;
        written.map_err(failed)?;

        if let Some(limit) = limit {
            let before = self.enter(session, kept, Before::All).await?;
            return self.keep_to(limit, session, before).await;
        }
        let before = self.enter(session, kept, Before::Oldest).await?;
        // This drops the entries whose session is gone.
        let ids = before.into_iter().map(|(id, _)| id).collect();
        let _ = self.live(&session.subject, ids, session.created_at).await;
        Ok(CreateOutcome::Opened { ended: Vec::new() })
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let generation = rotation.generation;
        let before = generation.checked_sub(1).map(|it| it.to_string());
        let mut connection = self.connection.clone();
        let row: Row = self
            .scripts
            .rotate
            .key(self.session_key(&rotation.session))
            .arg(generation)
            .arg(before.unwrap_or_default())
            .arg(generation.saturating_add(1))
            .arg(&rotation.token_id)
            .arg(rotation.now)
            .arg(rotation.grace)
            .arg(rotation.lost_response_grace)
            .arg(rotation.max_lost_responses)
            .arg(rotation.client.as_deref())
            .invoke_async(&mut connection)
            .await
            .map_err(failed)?;
        let record = from_row(&rotation.session, row)?;
        if let Some(record) = &record
            && rotation.outcome(Some(record)) == RotationOutcome::ReuseDetected
        {
            self.has_ended(&record.id, &record.subject, rotation.now)
                .await;
        }
        Ok(record)
    }

    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let known: Vec<String> = self
            .scripts
            .acknowledge
            .key(self.session_key(session))
            .arg(generation)
            .invoke_async(&mut connection)
            .await
            .map_err(failed)?;
        match known.as_slice() {
            [subject, due, kept] => self.enter_again(session, subject, due, kept).await,
            _ => Ok(()),
        }
    }

    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        let ids = self.newest(subject).await?;
        let mut live = self.live(subject, ids, now).await?;
        live.sort_by(|a, b| (b.last_used_at, &b.id).cmp(&(a.last_used_at, &a.id)));
        live.truncate(index::MAX_LISTED);
        Ok(live)
    }

    async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        let ended = match end.target {
            SessionTarget::Session(session) => self.end_one(session, None, end).await?,
            SessionTarget::SessionOf { session, subject } => {
                self.end_one(session, Some(subject), end).await?
            }
            SessionTarget::OthersOf { session, subject } => {
                return self.end_all(subject, Some(session), end).await;
            }
            SessionTarget::Subject(subject) => return self.end_all(subject, None, end).await,
        };
        Ok(ended.into_iter().collect())
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        let before = before.min(self.latest_clean_up().await?);
        let (limit, mut removed) = (u64::from(limit), 0);
        for part in 0..index::PARTS {
            removed += self.clean_part(part, before, limit - removed).await?;
        }
        Ok(removed)
    }
}

impl<C> fmt::Debug for RedisSessions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessions")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
