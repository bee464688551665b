//! [`ReplayStore`]: the interface to a store of used proofs.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;

use crate::store::StoreError;

/// Keeps the DPoP proofs that were used, so that none is used twice (RFC 9449 section 11.1). Implement it
/// to use a store of your own.
///
/// The stores of this crate are [`MemoryReplays`](super::MemoryReplays) for one node, and `RedisReplays`,
/// `PostgresReplays` and `SqliteReplays` for several nodes or processes.
///
/// The function `testing::check_replay_store` (feature `testing`) checks every rule below on a store of
/// your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a replay store",
    note = "use `MemoryReplays` for one node, `RedisReplays`, `PostgresReplays` or `SqliteReplays`; a store \
            of your own implements `ReplayStore` and `Debug`"
)]
pub trait ReplayStore: Debug + Send + Sync + 'static {
    /// Adds an entry, and returns whether it is new. An entry with the same
    /// [digest](ReplayEntry::digest) that was added before stays as it is.
    ///
    /// It must be one atomic step: if the same entry is added many times at once, on any number of nodes,
    /// exactly one call returns `true`. So do not read first and write later. No entry is dropped before
    /// its [time](ReplayEntry::until): a store that has no room left fails.
    ///
    /// If the call is dropped, the entry may have been added.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable or full. The request is then answered with 503: it is neither
    /// refused as a replay nor let through.
    fn insert(&self, entry: ReplayEntry) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A proof that was used, as a store keeps it. Times are in microseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayEntry {
    /// The SHA-256 of the proof's key, `jti` and `htu`. It identifies the proof, and is the primary key.
    pub digest: [u8; 32],
    /// The current time.
    pub now: u64,
    /// The time until which the entry must be kept. After it, the proof itself is too old.
    pub until: u64,
}

// === impl ReplayEntry ===

impl ReplayEntry {
    /// Creates an entry for stores and their tests.
    #[must_use]
    pub const fn new(digest: [u8; 32], now: u64, until: u64) -> Self {
        Self { digest, now, until }
    }
}

impl Debug for ReplayEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayEntry")
            .field("now", &self.now)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The dyn-compatible counterpart of [`ReplayStore`].
pub(crate) trait DynReplayStore: Debug + Send + Sync {
    fn insert<'a>(
        &'a self,
        entry: ReplayEntry,
    ) -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 'a>>;
}

impl<S: ReplayStore> DynReplayStore for S {
    fn insert<'a>(
        &'a self,
        entry: ReplayEntry,
    ) -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 'a>> {
        Box::pin(ReplayStore::insert(self, entry))
    }
}
