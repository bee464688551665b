//! Revocation: refusing tokens that are otherwise valid, before they expire.
//!
//! A revocation names a token, a session, or a whole subject. One entry is enough, however many
//! tokens it covers, and it is kept until the last of them has expired. A verifier looks it up only
//! after the signature and the claims have passed, so a forged token never reaches a store.

#[cfg(feature = "cache")]
mod cached;
mod changes;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "cache")]
mod slot;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

#[cfg(feature = "redis")]
pub use self::redis::RedisRevocations;
#[cfg(all(feature = "redis", feature = "cache"))]
pub use self::redis::{LOSS_DETECTION_TIME, RevocationPushes};
#[cfg(feature = "cache")]
pub use cached::{
    CachedRevocations, DEFAULT_REVOCATION_CACHE_FOR, DEFAULT_REVOCATION_STORE_TIMEOUT, OutagePolicy,
};
pub use changes::{DEFAULT_STREAM_POLL, RevocationChanges, RevocationSignal};
pub use memory::MemoryRevocations;
#[cfg(feature = "postgres")]
pub use sql::PostgresRevocations;
#[cfg(feature = "sqlite")]
pub use sql::SqliteRevocations;

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use crate::clock::unix_micros;
use crate::jti::Digest;
use crate::store::StoreError;

/// Records revocations, and looks up whether a token is revoked.
///
/// A store for several nodes keeps its entries in a database; put
/// [`CachedRevocations`](crate::guide::revocation) in front of it. [`MemoryRevocations`] serves one
/// process.
///
/// To use a store of your own, implement this with `async fn`. [`Revocation`] contains what to
/// store, and [`RevocationQuery`] what to look for. The function
/// `testing::check_revocation_store` (feature `testing`) checks the rules.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a revocation store",
    note = "wrap a database pool in `PostgresRevocations` or `SqliteRevocations`, a connection in \
            `RedisRevocations`, or use `MemoryRevocations`; a store of your own implements \
            `RevocationStore` and `Debug`"
)]
pub trait RevocationStore: Debug + Send + Sync + 'static {
    /// Records revocations: one, or those of all sessions that ended together. Recording one
    /// again changes nothing. When the call returns `Ok`, all of them are in effect.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. Each of the revocations may or may not be in effect.
    fn revoke(
        &self,
        revocations: &[Revocation],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns whether a revocation covers this token: a revocation of its id, of its session, or
    /// of its subject with a cut-off that is not before [`issued_at`](RevocationQuery::issued_at).
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn is_revoked(
        &self,
        query: &RevocationQuery<'_>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Returns the result of [`is_revoked`](Self::is_revoked) if it is known without waiting, and
    /// `None` otherwise. If it is known, the request neither allocates nor suspends.
    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        let _ = query;
        None
    }

    /// Returns how streams learn of revocations, for
    /// [`VerifiedToken::ended`](crate::VerifiedToken::ended). The default asks the store every
    /// [5 seconds](DEFAULT_STREAM_POLL). A store that knows when a revocation takes effect returns a
    /// signal of it.
    fn changes(&self) -> RevocationChanges {
        RevocationChanges::every(DEFAULT_STREAM_POLL)
    }
}

/// One entry of a revocation store: what is revoked, and how long the entry must be kept. `Debug`
/// shows digests of ids, and no subject.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revocation {
    target: RevocationTarget,
    issuer: Option<String>,
    until: SystemTime,
}

/// The tokens that a revocation covers. `Debug` shows digests of ids, and no subject.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationTarget {
    /// The token with this `jti`.
    Token(String),
    /// Every token with this `sid`.
    Session(String),
    /// Every token of this `sub` that was issued at or before the cut-off.
    Subject {
        /// The subject (`sub`).
        subject: String,
        /// The cut-off, in microseconds since the Unix epoch. Compare it with
        /// [`RevocationQuery::issued_at`].
        cutoff: u64,
    },
}

/// A query whether a token is revoked. The signature and the claims of the token have already been
/// verified. `Debug` shows digests of ids, and no subject.
#[derive(Clone, Copy)]
pub struct RevocationQuery<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) subject: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) token: &'a str,
    pub(crate) issued_at: u64,
}

/// The dyn-compatible counterpart of [`RevocationStore`].
pub(crate) trait DynRevocationStore: Debug + Send + Sync {
    fn revoke<'a>(&'a self, revocations: &'a [Revocation]) -> StoreFuture<'a, ()>;
    fn is_revoked<'a>(&'a self, query: RevocationQuery<'a>) -> StoreFuture<'a, bool>;
    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool>;
    fn changes(&self) -> RevocationChanges;
}

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

impl<S: RevocationStore> DynRevocationStore for S {
    fn revoke<'a>(&'a self, revocations: &'a [Revocation]) -> StoreFuture<'a, ()> {
        Box::pin(RevocationStore::revoke(self, revocations))
    }

    fn is_revoked<'a>(&'a self, query: RevocationQuery<'a>) -> StoreFuture<'a, bool> {
        Box::pin(async move { RevocationStore::is_revoked(self, &query).await })
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        RevocationStore::peek(self, query)
    }

    fn changes(&self) -> RevocationChanges {
        RevocationStore::changes(self)
    }
}

/// Allows the use of one store in several places.
impl<S: RevocationStore> RevocationStore for std::sync::Arc<S> {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        S::revoke(self, revocations).await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        S::is_revoked(self, query).await
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        S::peek(self, query)
    }

    fn changes(&self) -> RevocationChanges {
        S::changes(self)
    }
}

// === impl Revocation ===

impl Revocation {
    /// Creates the revocation of one token. `until` is when the token expires.
    #[must_use]
    pub fn token(issuer: Option<&str>, jti: impl Into<String>, until: SystemTime) -> Self {
        Self::new(RevocationTarget::Token(jti.into()), issuer, until)
    }

    /// Creates the revocation of all tokens of a session. `until` is when the last of them expires.
    #[must_use]
    pub fn session(issuer: Option<&str>, sid: impl Into<String>, until: SystemTime) -> Self {
        Self::new(RevocationTarget::Session(sid.into()), issuer, until)
    }

    /// Creates the revocation of all tokens of a subject that were issued at or before `cutoff`.
    /// `until` is when the last of them expires.
    #[must_use]
    pub fn subject(
        issuer: Option<&str>,
        sub: impl Into<String>,
        cutoff: SystemTime,
        until: SystemTime,
    ) -> Self {
        Self::subject_at(issuer, sub, unix_micros(cutoff), until)
    }

    pub(crate) fn subject_at(
        issuer: Option<&str>,
        sub: impl Into<String>,
        cutoff: u64,
        until: SystemTime,
    ) -> Self {
        let target = RevocationTarget::Subject {
            subject: sub.into(),
            cutoff,
        };
        Self::new(target, issuer, until)
    }

    fn new(target: RevocationTarget, issuer: Option<&str>, until: SystemTime) -> Self {
        Self {
            target,
            issuer: issuer.map(str::to_owned),
            until,
        }
    }

    /// Returns the tokens that are revoked.
    #[must_use]
    pub fn target(&self) -> &RevocationTarget {
        &self.target
    }

    /// Returns the issuer (`iss`) of the tokens, or `None` if they have none. Two issuers may use
    /// the same id, so a revocation only covers tokens of its own issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns the time from which the store may drop the entry.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// Returns the same revocation with an earlier end.
    #[cfg(feature = "cache")]
    pub(crate) fn no_longer_than(&self, until: SystemTime) -> Self {
        Self {
            until: self.until.min(until),
            ..self.clone()
        }
    }
}

impl Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("target", &self.target)
            .field("issuer", &self.issuer)
            .field("until", &self.until)
            .finish()
    }
}

impl Debug for RevocationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => f.debug_tuple("Token").field(&Digest(id)).finish(),
            Self::Session(id) => f.debug_tuple("Session").field(&Digest(id)).finish(),
            Self::Subject { cutoff, .. } => f
                .debug_struct("Subject")
                .field("cutoff", cutoff)
                .finish_non_exhaustive(),
        }
    }
}

// === impl RevocationQuery ===

impl Debug for RevocationQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationQuery")
            .field("issuer", &self.issuer)
            .field("session", &self.session.map(Digest))
            .field("token", &Digest(self.token))
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}

impl<'a> RevocationQuery<'a> {
    /// Creates a query for tests of a store, about a token without an issuer and without a session.
    /// `issued_at` is in microseconds since the Unix epoch.
    #[must_use]
    pub const fn new(subject: &'a str, token: &'a str, issued_at: u64) -> Self {
        Self {
            issuer: None,
            subject,
            session: None,
            token,
            issued_at,
        }
    }

    /// Sets the issuer of the token.
    #[must_use]
    pub const fn with_issuer(mut self, issuer: &'a str) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// Sets the session of the token.
    #[must_use]
    pub const fn with_session(mut self, session: &'a str) -> Self {
        self.session = Some(session);
        self
    }

    /// Returns the issuer (`iss`) of the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// Returns the subject (`sub`) of the token.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.subject
    }

    /// Returns the session (`sid`) of the token.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        self.session
    }

    /// Returns the id (`jti`) of the token.
    #[must_use]
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// Returns the time at which the token was issued, in microseconds since the Unix epoch. For a
    /// token of another issuer, it is the beginning of the second of its `iat`, which errs on the
    /// side of "revoked".
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }
}
