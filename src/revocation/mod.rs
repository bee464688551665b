//! Revocation: refusing tokens that are otherwise good, before they expire.
//!
//! A revocation names a token, a session, or a whole subject; one entry suffices however
//! many tokens it hits, and it lives until the last of them has expired. A verifier looks
//! only after signature and claims were found good, so a forged token never reaches a store.

#[cfg(feature = "cache")]
mod cached;
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
pub use self::redis::{LOSS_NOTICED_WITHIN, RevocationPushes};
#[cfg(feature = "cache")]
pub use cached::{CachedRevocations, DEFAULT_LAG, DEFAULT_STORE_TIMEOUT, OutagePolicy};
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

/// Records what is revoked, and answers whether a token is.
///
/// A store for several nodes keeps its entries in a database; put
/// [`CachedRevocations`] in front of it. [`MemoryRevocations`] serves one process.
///
/// Implement it with `async fn`; [`Revocation`] and [`RevocationQuery`] tell what to
/// store and what to look for.
pub trait RevocationStore: Debug + Send + Sync + 'static {
    /// Records revocations: one, or those of all sessions that ended together. Recording one
    /// again changes nothing. When the call returns, all of them hold.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. Each of the revocations may or may not hold.
    fn revoke(
        &self,
        revocations: &[Revocation],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether a revocation hits this token: one of its id, of its session, or of its
    /// subject with [`issued_at`](RevocationQuery::issued_at) not after the cut-off.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    fn is_revoked(
        &self,
        query: &RevocationQuery<'_>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The answer, if it is known without waiting. A request whose answer is known here
    /// costs no allocation and no suspension.
    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        let _ = query;
        None
    }
}

/// One entry in the record: what is revoked, and until when that must be known. `Debug` shows
/// digests of ids, and no subject.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revocation {
    target: RevocationTarget,
    issuer: Option<String>,
    until: SystemTime,
}

/// What a revocation hits. `Debug` shows digests of ids, and no subject.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationTarget {
    /// The token with this `jti`.
    Token(String),
    /// Every token with this `sid`.
    Session(String),
    /// Every token of this `sub` that was issued at or before the cut-off.
    Subject {
        /// The `sub`.
        subject: String,
        /// Microseconds since the Unix epoch; compare with [`RevocationQuery::issued_at`].
        cutoff: u64,
    },
}

/// A token whose revocation is in question. Its signature and claims were found good. `Debug` shows
/// digests of ids, and no subject.
#[derive(Clone, Copy)]
pub struct RevocationQuery<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) subject: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) token: &'a str,
    pub(crate) issued_at: u64,
}

/// The object-safe twin of [`RevocationStore`].
pub(crate) trait DynRevocationStore: Debug + Send + Sync {
    fn revoke<'a>(&'a self, revocations: &'a [Revocation]) -> StoreFuture<'a, ()>;
    fn is_revoked<'a>(&'a self, query: RevocationQuery<'a>) -> StoreFuture<'a, bool>;
    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool>;
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
}

/// One store, shared.
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
}

// === impl Revocation ===

impl Revocation {
    /// Revokes one token; `until` is when it expires.
    #[must_use]
    pub fn token(issuer: Option<&str>, jti: impl Into<String>, until: SystemTime) -> Self {
        Self::new(RevocationTarget::Token(jti.into()), issuer, until)
    }

    /// Revokes all tokens of a session; `until` is when the last of them expires.
    #[must_use]
    pub fn session(issuer: Option<&str>, sid: impl Into<String>, until: SystemTime) -> Self {
        Self::new(RevocationTarget::Session(sid.into()), issuer, until)
    }

    /// Revokes all tokens of a subject that were issued at or before `cutoff`; `until` is
    /// when the last of them expires.
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

    /// What is revoked.
    #[must_use]
    pub fn target(&self) -> &RevocationTarget {
        &self.target
    }

    /// Whose tokens: an id means something only together with its issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// When the entry may be forgotten.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// The same, to be forgotten earlier.
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
    /// A query for tests of a store: a token of no issuer and no session.
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

    /// The same for a token of this issuer.
    #[must_use]
    pub const fn with_issuer(mut self, issuer: &'a str) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// The same for a token of this session.
    #[must_use]
    pub const fn with_session(mut self, session: &'a str) -> Self {
        self.session = Some(session);
        self
    }

    /// The token's `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// The token's `sub`.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.subject
    }

    /// The token's `sid`.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        self.session
    }

    /// The token's `jti`.
    #[must_use]
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// When the token was issued, in microseconds since the Unix epoch; for a token of
    /// another issuer the beginning of its `iat`'s second, which errs towards revoked.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }
}
