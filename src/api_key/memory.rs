//! [`MemoryApiKeys`]: API keys in the memory of this process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::record::{ApiKeyRecord, RevokedApiKey};
use super::store::{ApiKeyStore, ApiKeyTarget};
use crate::store::StoreError;

/// The largest number of keys of one owner that are listed.
const MAX_LISTED: usize = 1000;

/// Keeps API keys in the memory of this process, for tests and for a single node. After a restart, all keys
/// are gone, and every program needs another one.
///
/// Clones share the keys.
#[derive(Clone, Default)]
pub struct MemoryApiKeys {
    keys: Arc<RwLock<Keys>>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, ApiKeyRecord>,
    /// By owner: the time of creation and the id of each key, which is the order of a list.
    by_owner: HashMap<String, BTreeSet<(u64, String)>>,
    /// The expiry and the id of each key that expires.
    due: BTreeSet<(u64, String)>,
}

// === impl MemoryApiKeys ===

impl MemoryApiKeys {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of stored keys, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Returns whether no key is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryApiKeys").finish_non_exhaustive()
    }
}

impl ApiKeyStore for MemoryApiKeys {
    async fn insert(&self, key: &ApiKeyRecord, max: u32) -> Result<bool, StoreError> {
        let mut keys = self.write();
        if keys.by_id.contains_key(&key.id) {
            return Err(StoreError::new("a key with this id exists"));
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let ids = keys.ids_of(&key.owner);
        if ids.len() >= max {
            let is_expired = |id: &&String| keys.by_id[*id].is_expired(key.created_at);
            let expired: Vec<String> = ids.iter().filter(is_expired).cloned().collect();
            if ids.len() - expired.len() >= max {
                return Ok(false);
            }
            for id in expired {
                keys.remove(&id);
            }
        }
        keys.add(key.clone());
        Ok(true)
    }

    async fn find(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
        Ok(self.read().by_id.get(id).cloned())
    }

    async fn list(&self, owner: &str) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let keys = self.read();
        let ids = keys.by_owner.get(owner).into_iter().flatten().rev();
        let records = ids.filter_map(|(_, id)| keys.by_id.get(id));
        Ok(records.take(MAX_LISTED).cloned().collect())
    }

    async fn revoke(
        &self,
        target: ApiKeyTarget<'_>,
        limit: u32,
    ) -> Result<Vec<RevokedApiKey>, StoreError> {
        let mut keys = self.write();
        let ids = match target {
            ApiKeyTarget::Key(id) => vec![id.to_owned()],
            ApiKeyTarget::KeyOf { id, owner } => {
                let is_owners = keys.by_id.get(id).is_some_and(|key| key.owner == owner);
                is_owners.then(|| id.to_owned()).into_iter().collect()
            }
            ApiKeyTarget::Owner(owner) => keys.ids_of(owner),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let removed = ids.iter().take(limit).filter_map(|id| keys.remove(id));
        Ok(removed
            .map(|key| RevokedApiKey::new(key.id, key.owner))
            .collect())
    }

    async fn record_use(&self, id: &str, at: u64) -> Result<(), StoreError> {
        if let Some(key) = self.write().by_id.get_mut(id) {
            key.last_used_at = key.last_used_at.max(Some(at));
        }
        Ok(())
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        let mut keys = self.write();
        let mut removed = 0;
        while removed < u64::from(limit)
            && let Some((expiry, id)) = keys.due.first().cloned()
            && expiry <= before
        {
            keys.remove(&id);
            removed += 1;
        }
        Ok(removed)
    }
}

// === impl Keys ===

impl Keys {
    fn ids_of(&self, owner: &str) -> Vec<String> {
        let keys = self.by_owner.get(owner).into_iter().flatten();
        keys.map(|(_, id)| id.clone()).collect()
    }

    fn add(&mut self, key: ApiKeyRecord) {
        if let Some(expiry) = key.expires_at {
            self.due.insert((expiry, key.id.clone()));
        }
        let of_owner = self.by_owner.entry(key.owner.clone()).or_default();
        of_owner.insert((key.created_at, key.id.clone()));
        self.by_id.insert(key.id.clone(), key);
    }

    fn remove(&mut self, id: &str) -> Option<ApiKeyRecord> {
        let key = self.by_id.remove(id)?;
        if let Some(expiry) = key.expires_at {
            self.due.remove(&(expiry, key.id.clone()));
        }
        if let Some(of_owner) = self.by_owner.get_mut(&key.owner) {
            of_owner.remove(&(key.created_at, key.id.clone()));
            if of_owner.is_empty() {
                self.by_owner.remove(&key.owner);
            }
        }
        Some(key)
    }
}
