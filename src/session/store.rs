//! [`SessionStore`]: the interface to a store of sessions.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;

use super::record::{EndReason, EndedSession, SessionRecord};
use super::rotation::Rotation;
use crate::jti::Digest;
use crate::store::StoreError;

/// Keeps sessions in a database or elsewhere. Implement it to use a store of your own.
///
/// Times are microseconds since the Unix epoch. They are always passed in: a store reads no clock
/// of its own.
///
/// If a call is dropped, it must either take effect as a whole or not at all.
/// [`Sessions`](crate::Sessions) drops a call after its
/// [store timeout](crate::sessions::SessionsBuilder::store_timeout).
///
/// The function `testing::check_session_store` (feature `testing`) checks every rule below on a
/// store of your own.
///
/// # Security
///
/// Ids and subjects come from clients or from user names. Bind them as parameters, and never put
/// them into the text of a statement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "wrap a database pool in `PostgresSessions` or `SqliteSessions`, a connection in \
            `RedisSessions`, or use `MemorySessions`; a store of your own implements `SessionStore` \
            and `Debug`"
)]
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// Stores a new session, unless the subject has as many live sessions as `limit` allows. In
    /// that case [`WhenFull`] decides whether the new session is refused or the least recently used
    /// ones end. The limit must also hold for logins at the same time.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. The session may have been stored.
    fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> impl Future<Output = Result<CreateOutcome, StoreError>> + Send;

    /// Carries out [`Rotation::apply`] as one atomic step. Returns the record as it is afterwards,
    /// whether or not it has changed, or `None` if there is no such session.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. The step may have been carried out.
    fn rotate(
        &self,
        rotation: &Rotation,
    ) -> impl Future<Output = Result<Option<SessionRecord>, StoreError>> + Send;

    /// Sets [`acknowledged`](SessionRecord::acknowledged) to `generation` if that is the current
    /// generation of the session. Otherwise it does nothing.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn acknowledge(
        &self,
        session: &str,
        generation: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the live sessions of a subject, most recently used first, at most 1000.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn list(
        &self,
        subject: &str,
        now: u64,
    ) -> impl Future<Output = Result<Vec<SessionRecord>, StoreError>> + Send;

    /// Ends the sessions that `end` names and that have not been ended yet, whether they are live,
    /// idle or expired: a node whose clock is behind may still consider them live.
    ///
    /// Returns these sessions, and also those named sessions that were ended at or after
    /// [`ended_since`](EndSessions::ended_since). So a call that failed or was interrupted after this
    /// step returns the same sessions when it is repeated.
    ///
    /// Ends and returns at most [`limit`](EndSessions::limit) sessions. Those that have not been ended
    /// yet come first, so that a caller who repeats the call gets to the end.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. Some of the sessions may have been ended.
    fn end(
        &self,
        end: EndSessions<'_>,
    ) -> impl Future<Output = Result<Vec<EndedSession>, StoreError>> + Send;

    /// Removes at most `limit` sessions, and returns how many it removed. A session is removed if it
    /// was ended before `before`, or if it has expired or become idle by then. If the store has a clock of its
    /// own, it does not remove sessions that are open for more than another day by that clock, because the
    /// clock of the node may be wrong.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn clean_up(
        &self,
        before: u64,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A request to end sessions; see [`SessionStore::end`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndSessions<'a> {
    /// The sessions to end.
    pub target: SessionTarget<'a>,
    /// The reason, which is stored.
    pub reason: EndReason,
    /// The current time, which is stored as the time of the end.
    pub now: u64,
    /// Sessions that were ended at or after this time are returned as well.
    pub ended_since: u64,
    /// The most sessions to end and to return. The caller asks again for the rest.
    pub limit: u32,
}

/// The sessions that are to be ended. `Debug` shows digests of ids, and no subject.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionTarget<'a> {
    /// The session with this id.
    Session(&'a str),
    /// The session with this id, if it belongs to the subject.
    SessionOf {
        /// The session id.
        session: &'a str,
        /// The subject that it must belong to.
        subject: &'a str,
    },
    /// All sessions of the subject except one.
    OthersOf {
        /// The id of the session that stays.
        session: &'a str,
        /// The subject whose other sessions end.
        subject: &'a str,
    },
    /// All sessions of the subject.
    Subject(&'a str),
}

/// A limit on the number of live sessions that a subject may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimit {
    /// The largest number of live sessions.
    pub max: u32,
    /// What happens when another session is opened.
    pub when_full: WhenFull,
}

/// What happens when a session is opened for a subject that has as many as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The least recently used session ends.
    EndOldest,
    /// The new session is refused.
    Refuse,
}

/// The result of [`SessionStore::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOutcome {
    /// The session was stored.
    Opened {
        /// The older sessions that were ended to make room.
        ended: Vec<EndedSession>,
    },
    /// The subject has as many sessions as allowed, and nothing was stored.
    Full,
}

// === impl EndSessions ===

impl<'a> EndSessions<'a> {
    /// Creates a request to end sessions, however many they are. The store returns only the sessions
    /// that this request ends, and none that had ended before:
    /// [`ended_since`](Self::ended_since) is after `now`.
    #[must_use]
    pub const fn new(target: SessionTarget<'a>, reason: EndReason, now: u64) -> Self {
        Self {
            target,
            reason,
            now,
            ended_since: now.saturating_add(1),
            limit: u32::MAX,
        }
    }
}

// === impl SessionLimit ===

impl SessionLimit {
    /// Creates a limit for tests of a store.
    #[must_use]
    pub const fn new(max: u32, when_full: WhenFull) -> Self {
        Self { max, when_full }
    }
}

// === impl SessionTarget ===

impl Debug for SessionTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => f.debug_tuple("Session").field(&Digest(id)).finish(),
            Self::SessionOf { session, .. } => {
                f.debug_tuple("SessionOf").field(&Digest(session)).finish()
            }
            Self::OthersOf { session, .. } => {
                f.debug_tuple("OthersOf").field(&Digest(session)).finish()
            }
            Self::Subject(_) => f.write_str("Subject"),
        }
    }
}

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The dyn-compatible counterpart of [`SessionStore`].
pub(crate) trait DynSessionStore: Debug + Send + Sync {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SessionLimit>,
    ) -> StoreFuture<'a, CreateOutcome>;
    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Option<SessionRecord>>;
    fn acknowledge<'a>(&'a self, session: &'a str, generation: u64) -> StoreFuture<'a, ()>;
    fn list<'a>(&'a self, subject: &'a str, now: u64) -> StoreFuture<'a, Vec<SessionRecord>>;
    fn end<'a>(&'a self, end: EndSessions<'a>) -> StoreFuture<'a, Vec<EndedSession>>;
    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64>;
}

impl<S: SessionStore> DynSessionStore for S {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SessionLimit>,
    ) -> StoreFuture<'a, CreateOutcome> {
        Box::pin(SessionStore::create(self, session, limit))
    }

    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Option<SessionRecord>> {
        Box::pin(SessionStore::rotate(self, rotation))
    }

    fn acknowledge<'a>(&'a self, session: &'a str, generation: u64) -> StoreFuture<'a, ()> {
        Box::pin(SessionStore::acknowledge(self, session, generation))
    }

    fn list<'a>(&'a self, subject: &'a str, now: u64) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(SessionStore::list(self, subject, now))
    }

    fn end<'a>(&'a self, end: EndSessions<'a>) -> StoreFuture<'a, Vec<EndedSession>> {
        Box::pin(SessionStore::end(self, end))
    }

    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(SessionStore::clean_up(self, before, limit))
    }
}
