//! The methods of [`ApiKeys`] that revoke keys and remove expired ones.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::create::can_be_owner;
use super::error::ApiKeyError;
use super::form::is_id;
use super::{ApiKeyEvent, ApiKeys};
use crate::api_key::{ApiKeyTarget, RevokedApiKey};
use crate::clean_up::{self, CleanUpTask};
use crate::clock::as_micros;
use crate::error::ConfigError;

/// The time for which an expired key stays in the list of its owner, and is refused as expired rather than
/// unknown, before a clean-up removes it: 30 days. It is removed earlier if the owner has as many keys as
/// allowed and creates another one.
pub const EXPIRED_KEY_RETENTION: Duration = Duration::from_secs(2_592_000);

/// The most keys that are revoked by one call to the store, each of which has its own timeout.
const AT_ONCE: u32 = 500;

// === impl ApiKeys ===

/// Methods that revoke keys.
///
/// Each of them runs to its end even if the request that called it is dropped. When it returns, with `Ok` or
/// because other nodes could not be notified, this node refuses the keys. Other nodes refuse them at once if
/// revocations are [pushed](super::ApiKeysBuilder::revocation), and otherwise within the
/// [cache period](super::ApiKeysBuilder::cache_for).
impl ApiKeys {
    /// Revokes a key, for an administrator. Returns whether it existed.
    ///
    /// # Security
    ///
    /// An id that a user sends may belong to somebody else: use [`revoke_owned_by`](Self::revoke_owned_by).
    ///
    /// # Errors
    ///
    /// [`Unavailable`](super::ApiKeyErrorKind::Unavailable): the store of keys or that of revocations is
    /// unavailable. Calling again is safe, and notifies other nodes again.
    pub async fn revoke(&self, id: &str) -> Result<bool, ApiKeyError> {
        if !is_id(id) {
            // Nobody has such an id. Some databases refuse text with a NUL, which is not an outage.
            return Ok(false);
        }
        let (core, id) = (Arc::clone(&self.inner.core), id.to_owned());
        self.whole(async move {
            let existed = core.revoke(ApiKeyTarget::Key(&id)).await? > 0;
            if !existed {
                // An earlier call may have failed after its first step.
                core.forget(&id);
                core.push(&[RevokedApiKey::new(id, "")]).await?;
            }
            Ok(existed)
        })
        .await
    }

    /// Revokes a key if it belongs to this owner. Returns whether it existed and belonged to the owner.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](super::ApiKeyErrorKind::Unavailable): the store of keys or that of revocations is
    /// unavailable. Calling again is safe. If only the store of revocations is unavailable, the key is
    /// revoked, and other nodes refuse it within the cache period.
    pub async fn revoke_owned_by(&self, owner: &str, id: &str) -> Result<bool, ApiKeyError> {
        if !is_id(id) || !can_be_owner(owner) {
            return Ok(false);
        }
        let core = Arc::clone(&self.inner.core);
        let (id, owner) = (id.to_owned(), owner.to_owned());
        self.whole(async move {
            let target = ApiKeyTarget::KeyOf {
                id: &id,
                owner: &owner,
            };
            let existed = core.revoke(target).await? > 0;
            if !existed {
                core.repeat(&owner, Some(&id)).await?;
            }
            Ok(existed)
        })
        .await
    }

    /// Revokes all keys of an owner, for example when an account is closed. Returns how many there were.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`revoke_owned_by`](Self::revoke_owned_by).
    pub async fn revoke_all(&self, owner: &str) -> Result<usize, ApiKeyError> {
        if !can_be_owner(owner) {
            return Ok(0);
        }
        let (core, owner) = (Arc::clone(&self.inner.core), owner.to_owned());
        self.whole(async move {
            let count = core.revoke(ApiKeyTarget::Owner(&owner)).await?;
            core.repeat(&owner, None).await?;
            Ok(count)
        })
        .await
    }

    /// Removes at most `limit` keys that expired [30 days](EXPIRED_KEY_RETENTION) ago or earlier, and returns
    /// how many it removed. Call it regularly, or let [`clean_up_every`](Self::clean_up_every) do so.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    pub async fn clean_up(&self, limit: u32) -> Result<u64, ApiKeyError> {
        let core = &self.inner.core;
        let before = core.now().saturating_sub(as_micros(EXPIRED_KEY_RETENTION));
        Ok(core.store.clean_up(before, limit).await?)
    }

    /// Starts a task that removes expired keys, at once and again after each `period`. It removes 500 keys at
    /// a time, with pauses. If the store is unavailable, the task tries again after the next period.
    ///
    /// # Errors
    ///
    /// Fails if the period is zero, or if it is called outside a Tokio runtime.
    pub fn clean_up_every(&self, period: Duration) -> Result<CleanUpTask, ConfigError> {
        let keys = self.clone();
        clean_up::every(period, "expired API keys", move |limit| {
            let keys = keys.clone();
            async move { keys.clean_up(limit).await }
        })
    }
}

// === impl Core ===

impl Core {
    /// Refuses keys of this owner that this node still knows, and notifies other nodes: an earlier call may
    /// have deleted them without noticing that it did.
    async fn repeat(&self, owner: &str, id: Option<&str>) -> Result<(), ApiKeyError> {
        let ids = self.forget_known_of(owner, id).into_iter();
        let revoked: Vec<_> = ids.map(|id| RevokedApiKey::new(id, owner)).collect();
        Ok(self.push(&revoked).await?)
    }

    /// Deletes keys, refuses them on this node, notifies other nodes, and reports the events. Returns how
    /// many there were.
    async fn revoke(&self, target: ApiKeyTarget<'_>) -> Result<usize, ApiKeyError> {
        let (mut count, mut failure) = (0, None);
        loop {
            let revoked = self.store.revoke(target, AT_ONCE).await?;
            for key in &revoked {
                self.forget(&key.id);
            }
            let pushed = self.push(&revoked).await;
            for RevokedApiKey { id, owner } in &revoked {
                self.events.tell(&ApiKeyEvent::Revoked { owner, id });
                if pushed.is_err() {
                    let event = ApiKeyEvent::RevocationFailed { owner, id };
                    self.events.tell(&event);
                }
            }
            count += revoked.len();
            // The other keys are revoked even if other nodes could not be notified about these.
            failure = failure.or(pushed.err());
            if revoked.len() < AT_ONCE as usize {
                return match failure {
                    Some(error) => Err(error.into()),
                    None => Ok(count),
                };
            }
        }
    }
}
