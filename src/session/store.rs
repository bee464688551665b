//! [`SessionStore`]: where sessions are kept.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use super::record::{EndReason, SessionRecord};
use super::rotation::Rotation;
use crate::store::StoreError;

/// Keeps sessions. Times are microseconds since the Unix epoch, and always given: a store
/// reads no clock of its own.
///
/// # Security
///
/// Ids and subjects come from clients or from users' names: bind them as parameters, and
/// never put them into the text of a statement.
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// Keeps a new session, and ends older ones of the subject where `limit` says so.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Carries out [`Rotation::apply`] as one atomic step, and returns the record as it is
    /// afterwards, whether or not it has changed; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The store does not answer; the step was carried out or not.
    fn rotate(
        &self,
        rotation: &Rotation,
    ) -> impl Future<Output = Result<Option<SessionRecord>, StoreError>> + Send;

    /// Marks the session as seen in use, if this is still its generation.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    fn acknowledge(
        &self,
        session: &str,
        generation: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The live sessions of a subject, the one used last first; at most 1000.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    fn list(
        &self,
        subject: &str,
        now: u64,
    ) -> impl Future<Output = Result<Vec<SessionRecord>, StoreError>> + Send;

    /// Ends the live sessions that `target` names, and returns their ids.
    ///
    /// # Errors
    ///
    /// The store does not answer; some of the sessions may have ended.
    fn end(
        &self,
        target: SessionTarget<'_>,
        reason: EndReason,
        now: u64,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Removes at most `limit` sessions that ended, or could no longer be used, before
    /// `before`, and returns how many it removed.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    fn clean_up(
        &self,
        before: u64,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Which sessions are to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionTarget<'a> {
    /// This one.
    Session(&'a str),
    /// This one, if it is the subject's: for an owner who names it.
    SessionOf {
        /// The session.
        session: &'a str,
        /// Whose it must be.
        subject: &'a str,
    },
    /// All of the subject but this one.
    OthersOf {
        /// The session that stays.
        session: &'a str,
        /// Whose sessions end.
        subject: &'a str,
    },
    /// All of the subject.
    Subject(&'a str),
}

/// How many live sessions a subject may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    /// The number.
    pub max: u32,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What happens when a subject has as many sessions as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The session that was used least recently ends.
    EndOldest,
    /// The new one is refused.
    Refuse,
}

/// What became of a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// It was kept; these older ones ended for it.
    Opened {
        /// Their ids.
        ended: Vec<String>,
    },
    /// The subject has as many as allowed, and nothing was kept.
    Full,
}

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The object-safe twin of [`SessionStore`].
pub(crate) trait DynSessionStore: Debug + Send + Sync {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SessionLimit>,
    ) -> StoreFuture<'a, Created>;
    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Option<SessionRecord>>;
    fn acknowledge<'a>(&'a self, session: &'a str, generation: u64) -> StoreFuture<'a, ()>;
    fn list<'a>(&'a self, subject: &'a str, now: u64) -> StoreFuture<'a, Vec<SessionRecord>>;
    fn end<'a>(
        &'a self,
        target: SessionTarget<'a>,
        reason: EndReason,
        now: u64,
    ) -> StoreFuture<'a, Vec<String>>;
    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64>;
}

impl<S: SessionStore> DynSessionStore for S {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SessionLimit>,
    ) -> StoreFuture<'a, Created> {
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

    fn end<'a>(
        &'a self,
        target: SessionTarget<'a>,
        reason: EndReason,
        now: u64,
    ) -> StoreFuture<'a, Vec<String>> {
        Box::pin(SessionStore::end(self, target, reason, now))
    }

    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(SessionStore::clean_up(self, before, limit))
    }
}
