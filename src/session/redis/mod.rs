//! [`RedisSessions`]: sessions in Redis, for any number of nodes.

mod index;
mod row;
mod scripts;

use std::fmt;
use std::sync::Arc;

use redis::IntoConnectionInfo;
use redis::aio::{ConnectionLike, ConnectionManager};

use self::row::{Row, from_row, to_row};
use self::scripts::Scripts;
use super::record::{EndReason, SessionRecord};
use super::rotation::{Rotation, RotationOutcome};
use super::store::{Created, SessionLimit, SessionStore, SessionTarget, WhenFull};
use crate::redis_connection::{self, failed};
use crate::store::StoreError;

/// What the keys begin with, unless it is set.
const DEFAULT_PREFIX: &str = "jwt-auth:";
/// How long a session is kept after its end, so that its refresh token is still told to have
/// expired, and not to be unknown.
const KEPT_AFTER_END_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Sessions in Redis 6.2 or later, or in a Redis cluster.
///
/// ```no_run
/// use tower_jwt_auth::sessions::RedisSessions;
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = RedisSessions::connect("redis://127.0.0.1/").await?;
/// # let _ = sessions; Ok(()) }
/// ```
///
/// # What it keeps
///
/// | key | what |
/// |---|---|
/// | `<prefix>{<session>}:s` | a hash: the session. It expires a day after the session's end |
/// | `<prefix>{u:<subject>}:u` | a sorted set: the subject's sessions, in the order of their creation |
/// | `<prefix>{d:0}:d` to `{d:15}:d` | sorted sets: the second in which to look whether a session can be removed |
///
/// A session is one key, so [`rotate`](SessionStore::rotate) is one script in one slot and
/// one round trip; it is atomic whatever else happens. The other two are indexes in slots of their own,
/// written after the session and before its token is given out, and entered again when
/// a token of a later generation is first seen in use. Whatever reads them looks at the
/// session itself, and drops entries whose session is gone.
///
/// # What concurrency can do
///
/// - A [limit](SessionLimit) holds: of logins at the same time each counts those that entered
///   the index before it. When the last has returned, no more than the limit are live. A
///   login that then turns out to be one too many is withdrawn before its token is given out.
/// - A login at the same time as [`SessionTarget::Subject`] comes before or after it. One
///   that comes after it stays.
/// - A login whose connection breaks may leave a session that nobody has a token of. It is
///   listed, and counts, until it has been idle for too long or is ended.
///
/// # What Redis can lose
///
/// The driver reports an answer when the primary has the write in memory. Whether it is on
/// disk (`appendfsync`) or on a replica (`WAIT`, `min-replicas-to-write`) by then is the
/// operator's choice, and decides what a crash costs:
///
/// - *No persistence, and a restart:* all sessions are gone, everybody logs in again.
/// - *AOF with `everysec`, or a replica that lags and is promoted:* the last second or so is
///   gone. A new session is unknown. A session that rotated is one generation behind its token:
///   that rotation is accepted and [reported](crate::session::RotationOutcome::Rotated); two
///   behind or more are refused without ending the session. A session that was ended in that second is
///   live again, and so is a stolen token of it: where that matters, use `appendfsync always`, or `WAIT`.
/// - *Eviction:* run Redis with `maxmemory-policy noeviction`. Any other may drop sessions.
///
/// Reads must go to primaries: do not hand in a connection that reads from replicas.
#[derive(Clone)]
pub struct RedisSessions<C = ConnectionManager> {
    connection: C,
    prefix: Arc<str>,
    scripts: Arc<Scripts>,
}

// === impl RedisSessions ===

impl RedisSessions {
    /// Connects to one server, by an address such as `redis://user:password@host:6379/0`. The connection is made
    /// anew when it breaks. For `rediss://`, depend on `redis` with one of its features for TLS.
    ///
    /// An answer may take 500 ms; [`new`](Self::new) takes a connection with other limits.
    ///
    /// # Errors
    ///
    /// The address cannot be read, or the server does not answer within 1 s.
    pub async fn connect(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        redis_connection::connect(server).await.map(Self::new)
    }
}

#[cfg(feature = "redis-cluster")]
impl RedisSessions<redis::cluster_async::ClusterConnection> {
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

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisSessions<C> {
    /// Sessions behind this connection. It should reconnect by itself, give up on an
    /// answer after a while, and read from primaries only.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: DEFAULT_PREFIX.into(),
            scripts: Arc::default(),
        }
    }

    /// What all keys begin with; `jwt-auth:` by default. In a cluster, a prefix with a hash tag of its own
    /// puts everything into one slot.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
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

    /// Ends one session, if it is live and the subject's; tells whether it did.
    async fn end_one(
        &self,
        session: &str,
        subject: Option<&str>,
        reason: EndReason,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let whose: Option<String> = self
            .scripts
            .end
            .key(self.session_key(session))
            .arg(u8::from(subject.is_some()))
            .arg(subject.unwrap_or_default())
            .arg(now)
            .arg(reason.as_str())
            .invoke_async(&mut connection)
            .await
            .map_err(failed)?;
        if let Some(subject) = &whose {
            self.has_ended(session, subject, now).await;
        }
        Ok(whose.is_some())
    }

    /// Takes back a session that nobody knows of.
    async fn withdraw(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let removed: Result<(), _> = redis::cmd("DEL")
            .arg(self.session_key(&session.id))
            .query_async(&mut connection)
            .await;
        removed.map_err(failed)?;
        self.leave(&session.subject, session.id.as_str()).await
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> SessionStore for RedisSessions<C> {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<Created, StoreError> {
        let key = self.session_key(&session.id);
        // Reckoned from its beginning, so that the clock of the server does not matter.
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

        let before = self.enter(session, kept, limit.is_some()).await?;
        let Some(limit) = limit else {
            // What it found to be gone, it has dropped.
            let _ = self
                .live(&session.subject, before, session.created_at)
                .await;
            return Ok(Created::Opened { ended: Vec::new() });
        };
        let live = self
            .live(&session.subject, before, session.created_at)
            .await?;
        let max = usize::try_from(limit.max).unwrap_or(usize::MAX);
        let excess = (live.len() + 1).saturating_sub(max);
        if excess > 0 && limit.when_full == WhenFull::Refuse {
            self.withdraw(session).await?;
            return Ok(Created::Full);
        }
        let (mut ended, now) = (Vec::new(), session.created_at);
        // The one used last comes first.
        for SessionRecord { id, .. } in live.into_iter().rev().take(excess) {
            if self.end_one(&id, None, EndReason::Replaced, now).await? {
                ended.push(id);
            }
        }
        Ok(Created::Opened { ended })
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let generation = rotation.generation;
        let mut connection = self.connection.clone();
        let row: Row = self
            .scripts
            .rotate
            .key(self.session_key(&rotation.session))
            .arg(generation)
            .arg(
                generation
                    .checked_sub(1)
                    .map_or_else(String::new, |it| it.to_string()),
            )
            .arg(generation.saturating_add(1))
            .arg(&rotation.token_id)
            .arg(rotation.now)
            .arg(rotation.grace)
            .arg(rotation.lost_response)
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
        let ids = self.sessions_of(subject).await?;
        let mut live = self.live(subject, ids, now).await?;
        live.truncate(index::MAX_LISTED);
        Ok(live)
    }

    async fn end(
        &self,
        target: SessionTarget<'_>,
        reason: EndReason,
        now: u64,
    ) -> Result<Vec<String>, StoreError> {
        let (ids, subject) = match target {
            SessionTarget::Session(session) => (vec![session.to_owned()], None),
            SessionTarget::SessionOf { session, subject } => {
                (vec![session.to_owned()], Some(subject))
            }
            SessionTarget::OthersOf { session, subject } => {
                let mut ids = self.sessions_of(subject).await?;
                ids.retain(|id| id != session);
                (ids, Some(subject))
            }
            SessionTarget::Subject(subject) => (self.sessions_of(subject).await?, Some(subject)),
        };
        self.each(ids, |id| async move {
            let ended = self.end_one(&id, subject, reason, now).await?;
            Ok(ended.then_some(id))
        })
        .await
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
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
