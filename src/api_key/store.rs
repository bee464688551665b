//! [`ApiKeyStore`]: the interface to a store of API keys.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;

use super::record::{ApiKeyRecord, RevokedApiKey};
use crate::jti::Digest;
use crate::store::StoreError;

/// Keeps API keys in a database or elsewhere. Implement it to use a store of your own.
///
/// Times are microseconds since the Unix epoch. They are always passed in: a store does not read a clock.
///
/// If a call is dropped, it must either take effect as a whole or not at all.
/// [`ApiKeys`](crate::credential::api_keys::ApiKeys) drops a call after its
/// [store timeout](crate::credential::api_keys::ApiKeysBuilder::store_timeout).
///
/// The function `testing::check_api_key_store` (feature `testing`) checks every rule below on a store
/// of your own.
///
/// # Security
///
/// Ids come from clients, and owners from user names. Bind them as parameters, and never put them into
/// the text of a statement. A deleted key must stay deleted: read from the primary of a database, and
/// never from a replica that lags.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of API keys",
    note = "wrap a database pool in `PostgresApiKeys` or `SqliteApiKeys`, or use `MemoryApiKeys`; a \
            store of your own implements `ApiKeyStore` and `Debug`"
)]
pub trait ApiKeyStore: Debug + Send + Sync + 'static {
    /// Stores a new key, unless its owner has `max` keys already. Returns whether it was stored. The
    /// limit must also hold for insertions at the same time.
    ///
    /// If the owner has `max` keys or more, those that have [expired](ApiKeyRecord::is_expired) by the
    /// time at which the new one was created are deleted first. If `max` keys or more are left, nothing
    /// is deleted and nothing is stored.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable, or if a key with this id exists. In the first case, the key
    /// may have been stored.
    fn insert(
        &self,
        key: &ApiKeyRecord,
        max: u32,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Returns the key with this id, even if it has expired, or `None` if there is no such key.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn find(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Option<ApiKeyRecord>, StoreError>> + Send;

    /// Returns the keys of an owner, expired ones included, in the order of their creation, the newest
    /// first, at most 1000. Keys that were created at the same time are ordered by descending id,
    /// compared as bytes.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn list(
        &self,
        owner: &str,
    ) -> impl Future<Output = Result<Vec<ApiKeyRecord>, StoreError>> + Send;

    /// Deletes the keys that `target` names, expired ones included, at most `limit` of them, and returns
    /// those that it has deleted. After the call has returned `Ok`, [`find`](Self::find) no longer returns
    /// them. Of several concurrent calls, only one returns a key.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable. Some of the keys may have been deleted.
    fn revoke(
        &self,
        target: ApiKeyTarget<'_>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<RevokedApiKey>, StoreError>> + Send;

    /// Records that the key was used at `at`, unless a later use is recorded or the key does not exist.
    /// It must never bring a deleted key back.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    fn record_use(&self, id: &str, at: u64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes at most `limit` keys that have expired by `before`, and returns how many it deleted. If the store
    /// has a clock of its own, it does not delete keys that are valid for more than another day by that clock,
    /// because the clock of the node may be wrong.
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

/// The keys to delete. `Debug` shows digests of ids, and does not show owners.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiKeyTarget<'a> {
    /// The key with this id.
    Key(&'a str),
    /// The key with this id, if it belongs to the owner.
    KeyOf {
        /// The id of the key.
        id: &'a str,
        /// The owner that it must belong to.
        owner: &'a str,
    },
    /// All keys of the owner.
    Owner(&'a str),
}

// === impl ApiKeyTarget ===

impl Debug for ApiKeyTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => f.debug_tuple("Key").field(&Digest(id)).finish(),
            Self::KeyOf { id, .. } => f.debug_tuple("KeyOf").field(&Digest(id)).finish(),
            Self::Owner(_) => f.write_str("Owner"),
        }
    }
}

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The dyn-compatible counterpart of [`ApiKeyStore`].
pub(crate) trait DynApiKeyStore: Debug + Send + Sync {
    fn insert<'a>(&'a self, key: &'a ApiKeyRecord, max: u32) -> StoreFuture<'a, bool>;
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>>;
    fn list<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<ApiKeyRecord>>;
    fn revoke<'a>(
        &'a self,
        target: ApiKeyTarget<'a>,
        limit: u32,
    ) -> StoreFuture<'a, Vec<RevokedApiKey>>;
    fn record_use<'a>(&'a self, id: &'a str, at: u64) -> StoreFuture<'a, ()>;
    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64>;
}

impl<S: ApiKeyStore> DynApiKeyStore for S {
    fn insert<'a>(&'a self, key: &'a ApiKeyRecord, max: u32) -> StoreFuture<'a, bool> {
        Box::pin(ApiKeyStore::insert(self, key, max))
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(ApiKeyStore::find(self, id))
    }

    fn list<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        Box::pin(ApiKeyStore::list(self, owner))
    }

    fn revoke<'a>(
        &'a self,
        target: ApiKeyTarget<'a>,
        limit: u32,
    ) -> StoreFuture<'a, Vec<RevokedApiKey>> {
        Box::pin(ApiKeyStore::revoke(self, target, limit))
    }

    fn record_use<'a>(&'a self, id: &'a str, at: u64) -> StoreFuture<'a, ()> {
        Box::pin(ApiKeyStore::record_use(self, id, at))
    }

    fn clean_up(&self, before: u64, limit: u32) -> StoreFuture<'_, u64> {
        Box::pin(ApiKeyStore::clean_up(self, before, limit))
    }
}
