//! The rules for stores of API keys, checked on the store in memory, and that the checks detect each broken
//! rule.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tower_jwt_auth::credential::api_keys::{
    ApiKeyRecord, ApiKeyStore, ApiKeyTarget, MemoryApiKeys, RevokedApiKey,
};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::testing::check_api_key_store;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_api_keys_keep_every_rule() {
    let store = MemoryApiKeys::new();
    check_api_key_store(&store).await;
    check_api_key_store(&store).await;
}

/// What a faulty store does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    CountsThenInserts,
    IgnoresTheLimit,
    ExpiredKeysCount,
    MakesRoomInVain,
    ReplacesAKey,
    ForgetsTheLabel,
    HidesTheExpired,
    IgnoresTheOwner,
    RevokesByPrefix,
    KeepsWhatItRevoked,
    TellsEachCall,
    BringsBackWhatIsUsed,
    GoesBackInTime,
    RemovesTooMuch,
    RemovesWhatNeverExpires,
}

#[derive(Debug, Clone)]
struct Careless {
    store: MemoryApiKeys,
    fault: Fault,
    /// Every key that was ever stored.
    ever: Arc<Mutex<HashMap<String, ApiKeyRecord>>>,
}

impl Careless {
    fn ever(&self, id: &str) -> Option<ApiKeyRecord> {
        self.ever.lock().unwrap().get(id).cloned()
    }
}

impl ApiKeyStore for Careless {
    async fn insert(&self, key: &ApiKeyRecord, max: u32) -> Result<bool, StoreError> {
        let mut key = key.clone();
        let keys = self.store.list(&key.owner).await?.len();
        if self.fault == Fault::ExpiredKeysCount && keys >= max as usize {
            return Ok(false);
        }
        match self.fault {
            Fault::ForgetsTheLabel => key.label = key.label.filter(|label| !label.is_empty()),
            Fault::IgnoresTheLimit => return self.store.insert(&key, u32::MAX).await,
            Fault::CountsThenInserts => {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                if keys < max as usize {
                    return self.store.insert(&key, u32::MAX).await;
                }
            }
            Fault::MakesRoomInVain => {
                for old in self.store.list(&key.owner).await? {
                    if max > 0 && old.is_expired(key.created_at) {
                        self.store.revoke(ApiKeyTarget::Key(&old.id), 1).await?;
                    }
                }
            }
            Fault::ReplacesAKey => {
                self.store.revoke(ApiKeyTarget::Key(&key.id), 1).await?;
            }
            _ => {}
        }
        self.ever
            .lock()
            .unwrap()
            .insert(key.id.clone(), key.clone());
        self.store.insert(&key, max).await
    }

    async fn find(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
        let found = self.store.find(id).await?;
        Ok(match self.fault {
            Fault::HidesTheExpired => found.filter(|key| key.expires_at.is_none()),
            Fault::KeepsWhatItRevoked => found.or_else(|| self.ever(id)),
            _ => found,
        })
    }

    async fn list(&self, owner: &str) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.store.list(owner).await
    }

    async fn revoke(
        &self,
        target: ApiKeyTarget<'_>,
        limit: u32,
    ) -> Result<Vec<RevokedApiKey>, StoreError> {
        match (self.fault, target) {
            (Fault::IgnoresTheOwner, ApiKeyTarget::KeyOf { id, .. }) => {
                self.store.revoke(ApiKeyTarget::Key(id), limit).await
            }
            (Fault::RevokesByPrefix, ApiKeyTarget::Owner(owner)) => {
                self.store
                    .revoke(ApiKeyTarget::Owner(&format!("{owner}.")), limit)
                    .await?;
                self.store.revoke(target, limit).await
            }
            (Fault::TellsEachCall, ApiKeyTarget::Key(id)) if limit > 0 => {
                self.store.revoke(target, limit).await?;
                let told = self.ever(id);
                let told = told.map(|key| RevokedApiKey::new(key.id, key.owner));
                Ok(told.into_iter().collect())
            }
            _ => self.store.revoke(target, limit).await,
        }
    }

    async fn record_use(&self, id: &str, at: u64) -> Result<(), StoreError> {
        if self.fault == Fault::BringsBackWhatIsUsed
            && self.store.find(id).await?.is_none()
            && let Some(key) = self.ever(id)
        {
            self.store.insert(&key, u32::MAX).await?;
        }
        if self.fault == Fault::GoesBackInTime
            && let Some(mut key) = self.store.find(id).await?
        {
            key.last_used_at = Some(at);
            self.store.revoke(ApiKeyTarget::Key(id), 1).await?;
            self.store.insert(&key, u32::MAX).await?;
            return Ok(());
        }
        self.store.record_use(id, at).await
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        if self.fault == Fault::RemovesWhatNeverExpires && limit > 0 {
            let keys: Vec<_> = self.ever.lock().unwrap().values().cloned().collect();
            for key in keys.iter().filter(|key| key.expires_at.is_none()) {
                self.store.revoke(ApiKeyTarget::Key(&key.id), 1).await?;
            }
        }
        let later = u64::from(self.fault == Fault::RemovesTooMuch);
        self.store.clean_up(before + later, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_checks_name_the_rule_that_a_key_store_breaks() {
    for (fault, rule) in [
        (Fault::CountsThenInserts, "inserted at once"),
        (Fault::IgnoresTheLimit, "expired ones make room"),
        (Fault::ExpiredKeysCount, "expired ones make room"),
        (Fault::MakesRoomInVain, "nothing is changed"),
        (Fault::ReplacesAKey, "the key that exists stays as it is"),
        (Fault::ForgetsTheLabel, "a missing label and an empty label"),
        (Fault::HidesTheExpired, "as it was stored"),
        (Fault::IgnoresTheOwner, "that it does not belong to"),
        (Fault::RevokesByPrefix, "the keys of other owners stay"),
        (Fault::KeepsWhatItRevoked, "unchanged, whatever characters"),
        (Fault::TellsEachCall, "by one call alone"),
        (Fault::BringsBackWhatIsUsed, "does not bring it back"),
        (Fault::GoesBackInTime, "does not replace a later one"),
        (Fault::RemovesTooMuch, "have expired by the given time"),
        (Fault::RemovesWhatNeverExpires, "a clean-up leaves"),
    ] {
        let store = Careless {
            store: MemoryApiKeys::new(),
            fault,
            ever: Arc::default(),
        };
        let checked = tokio::spawn(async move { check_api_key_store(&store).await }).await;
        let panic = checked.expect_err("the fault is found").into_panic();
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains(rule), "{fault:?}: {text}");
    }
}
