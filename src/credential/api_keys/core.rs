//! [`Core`]: looks up keys and their revocations, for requests and for streams.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

#[cfg(feature = "cache")]
use super::cache::KeyCache;
use super::known::Known;
#[cfg(not(feature = "cache"))]
use super::uncached::KeyCache;
use crate::api_key::{ApiKeyHook, LastUse, RevokedApiKey, TimedApiKeys};
use crate::clock::{Clock, unix_micros};
use crate::revocation::{
    DynRevocationStore, MemoryRevocations, Revocation, RevocationChanges, RevocationQuery,
    RevocationStore,
};
use crate::store::{StoreError, in_time};
use crate::verifier::{REVOKED_API_KEYS, World};

/// The time for which a revocation is kept: one hour. It must outlive every cached copy of a key on every
/// node, which is used for a cache period and a timeout (at most six minutes), even if the clocks of nodes
/// differ.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The shortest interval at which a stream asks for its key.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// The most ids that were never found before and are looked up at once. Others wait for their turn, within
/// the timeout.
pub(super) const UNKNOWN_AT_ONCE: usize = 32;
/// The most revocations that are recorded in one call.
const AT_ONCE: usize = 500;

/// The stores, and what was recently found in them.
pub(super) struct Core {
    pub(super) store: TimedApiKeys,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cache_for: Duration,
    pub(super) issuer: Option<String>,
    pub(super) cache: KeyCache,
    /// Limits look-ups of ids that were never found before.
    pub(super) places: Semaphore,
    /// The keys that were revoked on this node, for as long as an older answer may be in use.
    pub(super) fresh: MemoryRevocations,
    pub(super) revocations: Option<Arc<dyn DynRevocationStore>>,
    pub(super) last_use: LastUse,
    pub(super) events: ApiKeyHook,
}

/// What a stream needs to find out when its key ends.
pub(super) struct KeyWorld {
    clock: Arc<dyn Clock>,
    revocations: Arc<dyn DynRevocationStore>,
}

/// Presents the keys as a revocation store: a key that no longer exists is revoked.
struct KeyRevocations {
    core: Arc<Core>,
}

// === impl Core ===

impl Core {
    pub(super) fn now(&self) -> u64 {
        unix_micros(self.clock.now())
    }

    /// Returns the key with this id if it is known without asking. `Some(None)` means that there is no such key.
    pub(super) fn peek(&self, id: &str) -> Option<Option<Arc<Known>>> {
        self.cache.peek(id, self.now())
    }

    /// Returns the key with this id.
    pub(super) async fn look_up(&self, id: &str) -> Result<Option<Arc<Known>>, StoreError> {
        if let Some(known) = self.peek(id) {
            return Ok(known);
        }
        // Invented ids must not occupy all connections to the store.
        let is_in_use = self.cache.was_known(id);
        let ask = async || {
            let _place = match is_in_use {
                true => None,
                false => self.places.acquire().await.ok(),
            };
            let found = self.store.find(id).await?;
            // If a store mixes up keys, nobody must be given the rights of another key.
            let found = found.filter(|record| record.id == id);
            let known = found.map(|record| Known::of(&record, self.issuer.as_deref()));
            known.transpose()
        };
        let now = || self.now();
        self.cache.look_up(id, self.store.limit(), now, ask).await
    }

    /// Returns whether a key is revoked, if that is known without asking.
    pub(super) fn peek_revoked(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        if self.fresh.hits(query) {
            return Some(true);
        }
        match &self.revocations {
            Some(store) => store.peek(query),
            None => Some(false),
        }
    }

    /// Returns whether a key is revoked, and asks the store if necessary.
    pub(super) async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        match (self.peek_revoked(query), &self.revocations) {
            (Some(known), _) => Ok(known),
            (None, None) => Ok(false),
            (None, Some(store)) => {
                let asked = in_time(self.store.limit(), store.is_revoked(*query)).await?;
                // The key may have been revoked here in the meantime.
                Ok(asked || self.fresh.hits(query))
            }
        }
    }

    /// Refuses on this node all keys of this owner that it knows, or the one with this id. An earlier call
    /// may have deleted them without noticing that it did.
    pub(super) fn forget_known_of(&self, owner: &str, id: Option<&str>) -> Vec<String> {
        let ids = self.cache.known_of(owner);
        let ids = ids.into_iter().filter(|one| id.is_none_or(|id| id == one));
        // Other nodes already know about keys that were refused before.
        let is_refused = |id: &String| {
            let query = RevocationQuery::new(owner, id, 0).with_issuer(REVOKED_API_KEYS);
            self.fresh.hits(&query)
        };
        let ids: Vec<_> = ids.filter(|id| !is_refused(id)).collect();
        ids.iter().for_each(|id| self.forget(id));
        ids
    }

    /// Makes a revocation take effect on this node at once, even for a look-up that is in progress.
    pub(super) fn forget(&self, id: &str) {
        self.fresh.insert(&self.revocation(id));
    }

    /// Notifies other nodes, if there is a revocation store.
    pub(super) async fn push(&self, revoked: &[RevokedApiKey]) -> Result<(), StoreError> {
        let Some(store) = &self.revocations else {
            return Ok(());
        };
        let all: Vec<_> = revoked.iter().map(|key| self.revocation(&key.id)).collect();
        for some in all.chunks(AT_ONCE) {
            in_time(self.store.limit(), store.revoke(some)).await?;
        }
        Ok(())
    }

    fn revocation(&self, id: &str) -> Revocation {
        let until = self.clock.now() + REMEMBERED;
        Revocation::token(Some(REVOKED_API_KEYS), id, until)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

// === impl KeyWorld ===

impl KeyWorld {
    pub(super) fn new(core: &Arc<Core>) -> Self {
        Self {
            clock: Arc::clone(&core.clock),
            revocations: Arc::new(KeyRevocations {
                core: Arc::clone(core),
            }),
        }
    }
}

impl World for KeyWorld {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>> {
        Some(&self.revocations)
    }
}

// === impl KeyRevocations ===

impl RevocationStore for KeyRevocations {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        for revocation in revocations {
            self.core.fresh.insert(revocation);
        }
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        let found = self.core.look_up(query.token()).await?;
        Ok(found.is_none() || self.core.is_revoked(query).await?)
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        if self.core.peek_revoked(query)? {
            return Some(true);
        }
        let found = self.core.peek(query.token())?;
        Some(found.is_none())
    }

    fn changes(&self) -> RevocationChanges {
        let here = RevocationChanges::pushed_by(self.core.fresh.signal());
        let here = here.and_every(self.core.cache_for.max(SHORTEST_POLL));
        match &self.core.revocations {
            Some(store) => here.and_those_of(store.changes()),
            None => here,
        }
    }
}

impl fmt::Debug for KeyRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRevocations").finish_non_exhaustive()
    }
}
