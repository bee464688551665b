//! The rules of an [`ApiKeyStore`], as checks that run on any store.

mod keeping;
mod parallel;
mod removing;

use std::fmt::Debug;

use super::random::name_of_run;
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget, RevokedApiKey};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::store::StoreError;

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// More keys than any owner of the checks has.
const NO_LIMIT: u32 = 1_000_000;

/// Checks that a store of your own keeps every rule of [`ApiKeyStore`].
///
/// It stores, lists, uses, deletes and cleans up more than a thousand keys, and inserts 64 keys of one owner
/// at once under a limit. Run it on an empty test database, preferably in a runtime with several
/// threads. **It also removes keys of others**, if they expire within the next two hours.
///
/// ```
/// use tower_jwt_auth::credential::api_keys::MemoryApiKeys;
/// use tower_jwt_auth::testing::check_api_key_store;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// check_api_key_store(&MemoryApiKeys::new()).await;
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics if the store breaks a rule, or if it is unavailable. The message names the rule.
pub async fn check_api_key_store<S: ApiKeyStore + Clone>(store: &S) {
    let check = Check {
        store: store.clone(),
        run: name_of_run(),
        now: unix_micros(SystemClock.now()),
    };
    keeping::columns(&check).await;
    keeping::lists(&check).await;
    keeping::uses(&check).await;
    keeping::limits(&check).await;
    removing::one_key(&check).await;
    removing::all_of_an_owner(&check).await;
    parallel::limited_insertions(&check).await;
    parallel::revocations(&check).await;
    parallel::uses_of_a_key_that_is_revoked(&check).await;
    removing::clean_up(&check).await;
}

/// A store under test, and what the checks have in common.
#[derive(Debug)]
struct Check<S> {
    store: S,
    run: String,
    /// The time at which the checks begin: the present.
    now: u64,
}

// === impl Check ===

impl<S: ApiKeyStore + Clone> Check<S> {
    /// Returns a name that no other run uses.
    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.run)
    }

    /// Creates a record that never expires.
    fn record(&self, name: &str, owner: &str) -> ApiKeyRecord {
        ApiKeyRecord {
            secret_digest: self.name(&format!("{name}.digest")),
            ..ApiKeyRecord::new(self.name(name), self.name(owner), self.now)
        }
    }

    async fn insert(&self, record: &ApiKeyRecord, max: u32) -> bool {
        answered("insert", self.store.insert(record, max).await)
    }

    /// Inserts a key, for which there is room.
    async fn keep(&self, record: &ApiKeyRecord) {
        let stored = self.insert(record, NO_LIMIT).await;
        same("a key is stored if there is room", &true, &stored);
    }

    async fn find(&self, id: &str) -> Option<ApiKeyRecord> {
        answered("find", self.store.find(id).await)
    }

    async fn listed(&self, owner: &str) -> Vec<String> {
        let listed = answered("list", self.store.list(owner).await);
        listed.into_iter().map(|record| record.id).collect()
    }

    async fn record_use(&self, id: &str, at: u64) {
        answered("record_use", self.store.record_use(id, at).await);
    }

    /// Deletes keys, and returns what the store returns, sorted.
    async fn revoke(&self, target: ApiKeyTarget<'_>, limit: u32) -> Vec<RevokedApiKey> {
        let mut revoked = answered("revoke", self.store.revoke(target, limit).await);
        revoked.sort();
        revoked
    }
}

/// What a store returns for these keys when it deletes them, sorted.
fn as_revoked(records: &[ApiKeyRecord]) -> Vec<RevokedApiKey> {
    let mut revoked: Vec<_> = records
        .iter()
        .map(|record| RevokedApiKey::new(&*record.id, &*record.owner))
        .collect();
    revoked.sort();
    revoked
}

/// Panics with the rule that was broken.
#[track_caller]
fn same<T: PartialEq + Debug>(rule: &str, expected: &T, found: &T) {
    assert!(
        expected == found,
        "the store of API keys breaks a rule: {rule}\n expected: {expected:?}\n    found: {found:?}"
    );
}

/// Returns the result of a call to the store, or panics if the store failed.
#[track_caller]
fn answered<T>(method: &str, answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        panic!("the store of API keys failed in `{method}`: {error}: {cause}")
    })
}
