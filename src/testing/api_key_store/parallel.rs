//! Checks with requests at the same time.

use super::{Check, answered, as_revoked, same};
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget};
use crate::testing::session_store::gather;

/// The number of requests at the same time.
const AT_ONCE: usize = 64;

/// Inserts many keys of one owner at once, under a limit.
pub(super) async fn limited_insertions<S: ApiKeyStore + Clone>(check: &Check<S>) {
    const MAX: u32 = 5;
    for (owner, has_expired) in [("crowd", false), ("crowd with expired keys", true)] {
        if has_expired {
            for number in 0..MAX {
                let expired = ApiKeyRecord {
                    expires_at: Some(check.now),
                    ..check.record(&format!("{owner}, expired {number}"), owner)
                };
                check.keep(&expired).await;
            }
        }
        let insertions = (0..AT_ONCE).map(|number| {
            let store = check.store.clone();
            let record = check.record(&format!("{owner}.{number}"), owner);
            async move { answered("insert", store.insert(&record, MAX).await) }
        });
        let stored = gather(insertions).await;
        let stored = stored.into_iter().filter(|stored| *stored).count();
        let rule = "of 64 keys of one owner that are inserted at once, as many are stored as the limit \
                    says";
        same(rule, &(MAX as usize), &stored);
        let listed = check.listed(&check.name(owner)).await;
        same(rule, &(MAX as usize), &listed.len());
    }
}

/// Deletes the same keys many times at once.
pub(super) async fn revocations<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let rule = "of many calls at once that delete a key, one returns it";
    let keys: Vec<_> = (0..20)
        .map(|number| check.record(&format!("once.{number}"), "once"))
        .collect();
    for record in &keys {
        check.keep(record).await;
    }
    let calls = (0..AT_ONCE).map(|number| {
        let store = check.store.clone();
        let (owner, id) = (check.name("once"), keys[number % keys.len()].id.clone());
        async move {
            let target = match number % 3 {
                0 => ApiKeyTarget::Owner(&owner),
                1 => ApiKeyTarget::Key(&id),
                _ => ApiKeyTarget::KeyOf {
                    id: &id,
                    owner: &owner,
                },
            };
            answered("revoke", store.revoke(target, 1000).await)
        }
    });
    let mut revoked = gather(calls).await.concat();
    revoked.sort();
    same(rule, &as_revoked(&keys), &revoked);
}

/// Uses keys while they are deleted.
pub(super) async fn uses_of_a_key_that_is_revoked<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let rule = "a use at the time of the deletion does not bring a key back";
    let keys: Vec<_> = (0..AT_ONCE)
        .map(|number| check.record(&format!("gone.{number}"), "gone"))
        .collect();
    for record in &keys {
        check.keep(record).await;
    }
    let calls = keys.iter().flat_map(|record| {
        (0..3).map(|number| {
            let (store, id, now) = (check.store.clone(), record.id.clone(), check.now + number);
            async move {
                if number == 1 {
                    answered("revoke", store.revoke(ApiKeyTarget::Key(&id), 1).await);
                } else {
                    answered("record_use", store.record_use(&id, now).await);
                }
            }
        })
    });
    gather(calls).await;
    for record in &keys {
        same(rule, &None, &check.find(&record.id).await);
    }
    same(rule, &Vec::new(), &check.listed(&check.name("gone")).await);
}
